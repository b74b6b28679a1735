"""Content credentials in every container: signed offline, read back, and broken by any change."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from understudy.engine.errors import MediaError, UnderstudyError
from understudy.engine.media.reader import read_frames
from understudy.engine.provenance import certificate, credentials
from understudy.engine.provenance.credentials import Claim, Ingredient, read_credentials, sidecar, sign, sign_all
from understudy.engine.provenance.xmp import DIGITAL_SOURCE_TYPE, read_source_type

SUFFIXES = (".mp4", ".mov", ".png", ".tif", ".jpg", ".mkv", ".exr")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    for name in ("UNDERSTUDY_CERTIFICATE", "UNDERSTUDY_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def make(tmp_path: Path, make_clip: Any, make_counter_picture: Any) -> Any:
    def make(name: str) -> Path:
        path = tmp_path / name
        if path.suffix in (".mp4", ".mov", ".mkv"):
            return make_clip(path, 6)
        if path.suffix == ".exr":
            path.write_bytes(bytes(range(256)) * 20)  # only its bytes count
        else:
            cv2.imwrite(str(path), make_counter_picture(3, 160, 96))
        return path

    return make


def claim(*ingredients: Ingredient, **facts: Any) -> Claim:
    return Claim("recast", "A face was replaced by machine learning.", list(ingredients), facts)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_it_is_signed_and_any_change_shows(make: Any, tmp_path: Path, suffix: str) -> None:
    source, path = make("source.mp4"), make(f"recast{suffix}")
    before = path.read_bytes()
    pixels = [frame.rgb for frame in read_frames(path)] if suffix != ".exr" else []
    made_of = [Ingredient("source.mp4", "parentOf", "ab" * 32, source), Ingredient("faceset", "inputTo", "cd" * 32)]
    identifier = sign(path, claim(*made_of, id="x", mark=3))
    found = read_credentials(path)
    assert found and found.id == identifier and found.state == "Valid" and not found.problems
    assert found.signer == certificate.LOCAL
    assert found.facts == {"id": "x", "mark": 3}
    assert [i["relationship"] for i in found.ingredients] == ["parentOf", "inputTo"]
    assert {"action": "c2pa.edited", "digitalSourceType": DIGITAL_SOURCE_TYPE}.items() <= found.actions[-1].items()
    carried = suffix in credentials.FORMATS
    assert found.sidecar is not carried and sidecar(path).is_file() is not carried
    assert carried or path.read_bytes() == before
    assert (read_source_type(path) == DIGITAL_SOURCE_TYPE) is carried
    for frame, old in zip(read_frames(path) if pixels else [], pixels, strict=True):
        assert np.array_equal(frame.rgb, old)
    assert not [p for p in tmp_path.iterdir() if ".part" in p.name]
    data = path.read_bytes()
    picture = data.index(before[len(before) // 2 :][:64])  # in the middle of what it was
    told = data if carried else sidecar(path).read_bytes()
    for at in (picture + 3, *([told.index(b"machine learning")] if carried else [])):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        assert read_credentials(path).tampered, at  # type: ignore[union-attr]
    path.write_bytes(data)
    assert not read_credentials(path).tampered  # type: ignore[union-attr]


def test_a_file_without_them(make: Any) -> None:
    assert read_credentials(make("plain.mp4")) is None
    assert read_credentials(make("plain.mkv")) is None
    assert read_source_type(make("plain.png")) is None


def test_the_sources_own_credentials_are_kept(make: Any) -> None:
    source, path = make("source.mp4"), make("recast.mp4")
    first = sign(source, claim())
    sign(path, claim(Ingredient("source.mp4", "parentOf", "", source)))
    found = read_credentials(path)
    assert found and not found.tampered
    assert found.ingredients[0]["credentials"] == first


def test_footage_whose_boxes_do_not_fit_is_named_by_its_hash(make: Any) -> None:
    source, path = make("source.mp4"), make("recast.mp4")
    data = bytearray(source.read_bytes())
    at = data.index(b"moov") - 4
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + 4096).to_bytes(4, "big")
    source.write_bytes(data)
    sign(path, claim(Ingredient("source.mp4", "parentOf", "ab" * 32, source)))
    found = read_credentials(path)
    assert found and not found.tampered
    assert [one["title"] for one in found.ingredients] == ["source.mp4"] and not found.ingredients[0]["credentials"]


def test_signing_again_is_one_file_with_one_packet(make: Any) -> None:
    path = make("recast.png")
    sign(path, claim())
    sign(path, claim())
    assert path.read_bytes().count(b"XML:com.adobe.xmp") == 1
    assert read_credentials(path).state == "Valid"  # type: ignore[union-attr]


def test_a_sequence_is_signed_picture_by_picture(make: Any) -> None:
    paths = [make(f"recast_{n:04}.png") for n in range(3)]
    first = sign_all(paths, claim(id="x"))
    ids = [read_credentials(path).id for path in paths]  # type: ignore[union-attr]
    assert ids[0] == first and len(set(ids)) == 3


def test_the_local_certificate_is_made_once_and_its_key_is_private(make: Any, home: Path) -> None:
    sign(make("a.png"), claim())
    made = (home / "signing" / "local.pem").read_bytes()
    sign(make("b.png"), claim())
    assert (home / "signing" / "local.pem").read_bytes() == made
    assert (home / "signing" / "local-key.pem").stat().st_mode & 0o077 == 0


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A studio's chain and key, made here by another hand: an RSA key, and a root of its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    pem, now = serialization.Encoding.PEM, datetime.now(UTC)
    root_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    chain = b""
    for subject, public, root in (("A studio", key.public_key(), False), ("A root", root_key.public_key(), True)):
        name, issuer = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n), x509.NameAttribute(NameOID.ORGANIZATION_NAME, n)])
            for n in (subject, "A root")
        )
        builder = (
            x509.CertificateBuilder(issuer, name, public, x509.random_serial_number(), now, now + timedelta(days=9))
            .add_extension(x509.BasicConstraints(root, None), True)
            .add_extension(x509.KeyUsage(not root, False, False, False, False, root, False, False, False), True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )
        if not root:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        chain += builder.sign(root_key, hashes.SHA256()).public_bytes(pem)
    (folder / "chain.pem").write_bytes(chain)
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return folder / "chain.pem", folder / "key.pem"


def test_the_users_own_certificate_signs(make: Any, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    chain, key = own_certificate(home.parent)
    path = make("recast.mp4")
    monkeypatch.setenv("UNDERSTUDY_CERTIFICATE", str(chain))
    with pytest.raises(UnderstudyError, match="go together"):
        sign(path, claim())
    monkeypatch.setenv("UNDERSTUDY_KEY", str(key))
    sign(path, claim())
    found = read_credentials(path)
    assert found and found.signer == "A studio" and not found.tampered
    assert not home.exists()  # no local one was made
    (home / "signing").mkdir(parents=True)
    shutil.copy(chain, home / "signing" / "certificate.pem")
    shutil.copy(key, home / "signing" / "key.pem")
    monkeypatch.delenv("UNDERSTUDY_CERTIFICATE")
    monkeypatch.delenv("UNDERSTUDY_KEY")
    assert certificate.load_certificate().algorithm == "ps256"


def test_a_certificate_that_cannot_sign_leaves_the_file(make: Any, home: Path) -> None:
    path = make("recast.mp4")
    before = path.read_bytes()
    (home / "signing").mkdir(parents=True)
    (home / "signing" / "certificate.pem").write_text("no certificate")
    (home / "signing" / "key.pem").write_text("no key")
    with pytest.raises(UnderstudyError, match="cannot be used"):
        sign(path, claim())
    shutil.copy(own_certificate(home.parent)[1], home / "signing" / "key.pem")
    with pytest.raises(UnderstudyError):
        sign(path, claim())
    assert path.read_bytes() == before
    assert not [p for p in path.parent.iterdir() if ".part" in p.name]


@pytest.mark.parametrize("suffix", [".mp4", ".png", ".tif", ".jpg"])
def test_a_damaged_file_is_refused_and_left(make: Any, suffix: str) -> None:
    path = make(f"recast{suffix}")
    path.write_bytes(b"this is not what its name says")
    with pytest.raises(MediaError):
        sign(path, claim())
    assert path.read_bytes() == b"this is not what its name says"
    assert not [p for p in path.parent.iterdir() if ".part" in p.name]


def test_the_command_line_calls_a_changed_file_so(run: Any, make: Any) -> None:
    path = make("recast.mp4")
    sign(path, claim(id="x"))
    code, answer, _ = run("verify", path, "--frames", "0")
    assert code == 0 and answer["state"] == "Valid" and answer["digital_source_type"] == DIGITAL_SOURCE_TYPE
    data = bytearray(path.read_bytes())
    data[data.index(b"mdat") + 900] ^= 1
    path.write_bytes(data)
    code, answer, _ = run("verify", path, "--frames", "0")
    assert code == 8 and "do NOT fit" in answer["error"] and answer["tampered"]
    code, _, _ = run("verify", "nowhere.mp4")
    assert code == 3
