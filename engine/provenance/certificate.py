"""Who signs content credentials: the user's own certificate, or a local one made on first use and named as such."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..durable import lock, write_bytes
from ..errors import UnderstudyError
from ..protocol import home, make_home
from ..reading import read_bytes

LOCAL = "Understudy local, self-made"
CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"
"""c2pa-kp-claimSigning, the key purpose that C2PA gives to signers of claims."""
YEARS = 10


@dataclass(frozen=True)
class Certificate:
    """A chain (PEM, the signer's first) and its private key (PEM), with C2PA's name for its algorithm."""

    chain: bytes
    key: bytes
    algorithm: str


def load_certificate() -> Certificate:
    """The user's own certificate: the files that UNDERSTUDY_CERTIFICATE and UNDERSTUDY_KEY name, or `certificate.pem`
    and `key.pem` in the folder `signing` of Understudy's home; where there is none a local one, made now if need be.

    Raises UnderstudyError when the user's files cannot be used.
    """
    named = os.environ.get("UNDERSTUDY_CERTIFICATE"), os.environ.get("UNDERSTUDY_KEY")
    folder = home() / "signing"
    if any(named):
        if not all(named):
            raise UnderstudyError("UNDERSTUDY_CERTIFICATE and UNDERSTUDY_KEY go together. Set both, or neither.")
        return _load(Path(str(named[0])), Path(str(named[1])))
    if (folder / "certificate.pem").is_file():
        return _load(folder / "certificate.pem", folder / "key.pem")
    if not (folder / "local.pem").is_file():
        make_home()
        folder.mkdir(mode=0o700, exist_ok=True)
        with lock(folder / "local.lock", 30.0):
            if not (folder / "local.pem").is_file():  # nobody else has made it meanwhile
                _make_local(folder)
    return _load(folder / "local.pem", folder / "local-key.pem")


def _load(chain: Path, key: Path) -> Certificate:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        pems = read_bytes(chain), read_bytes(key)
        private: Any = serialization.load_pem_private_key(pems[1], None)
    except (OSError, ValueError, TypeError) as error:
        raise UnderstudyError(
            f"The certificate {chain} and its key {key} cannot be used ({error}). Give PEM files, the key without a "
            "password."
        ) from None
    if isinstance(private, ec.EllipticCurvePrivateKey):
        algorithm = {256: "es256", 384: "es384", 521: "es512"}.get(private.key_size, "")
    elif isinstance(private, rsa.RSAPrivateKey):
        algorithm = "ps256"
    else:
        algorithm = "ed25519" if isinstance(private, ed25519.Ed25519PrivateKey) else ""
    if not algorithm:
        raise UnderstudyError(f"C2PA knows no signature by the key {key}. Use P-256, P-384, RSA or Ed25519.")
    return Certificate(*pems, algorithm)


def _make_local(folder: Path) -> None:
    """A root and a signer of its own, which name themselves as nobody's word but this machine's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(name: str) -> x509.Name:
        parts = (NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, LOCAL)
        return x509.Name([x509.NameAttribute(*part) for part in parts])

    def usage(**given: bool) -> x509.KeyUsage:
        names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
        names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
        return x509.KeyUsage(**{name: given.get(name, False) for name in names})

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    begin = datetime.now(UTC) - timedelta(hours=1)  # clocks differ
    root_name = named(f"{LOCAL}, root")

    def begun(subject: x509.Name, public: Any, days: int) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(root_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin)
        builder = builder.not_valid_after(begin + timedelta(days=days))
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)

    root = (
        begun(root_name, root_key.public_key(), 366 * YEARS)
        .add_extension(x509.BasicConstraints(True, 0), True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), True)
        .sign(root_key, hashes.SHA256())
    )
    purposes = [x509.ObjectIdentifier(CLAIM_SIGNING), ExtendedKeyUsageOID.EMAIL_PROTECTION]
    signer = (
        begun(named(LOCAL), key.public_key(), 365 * YEARS)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(usage(digital_signature=True), True)
        .add_extension(x509.ExtendedKeyUsage(purposes), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_bytes(folder / "local-key.pem", secret, 0o600)
    chain = signer.public_bytes(pem) + root.public_bytes(pem)
    write_bytes(folder / "local.pem", chain, 0o600)  # the last: then all is there
