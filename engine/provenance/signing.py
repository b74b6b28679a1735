"""Signs and reads content credentials in a process of its own: `python -m …signing`, an order as JSON on stdin.

Offline: no timestamp authority, no remote manifest, no revocation look-up. See `credentials`.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import c2pa

from ..durable import make_beside, put
from ..errors import MediaError, UnderstudyError
from ..reading import open_regular, read_bytes
from .certificate import load_certificate
from .credentials import FORMATS, Claim, Credentials, Ingredient, release, sidecar
from .xmp import DIGITAL_SOURCE_TYPE, add_xmp, can_carry

READABLE = {**FORMATS, ".avi": "video/avi", ".webp": "image/webp", ".dng": "image/dng"}
OTHER = "application/octet-stream"
SETTINGS = {
    "verify": {"verify_after_sign": False, "verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},  # a thumbnail is a face that outlives being forgotten
}


def main() -> None:
    """Do the order on stdin; the answer is the last line of stdout."""
    order = json.load(sys.stdin)
    try:
        if "sign" in order:
            told = order["claim"]
            made_of = [Ingredient(**{**i, "path": Path(i["path"]) if i["path"] else None}) for i in told["ingredients"]]
            claim = Claim(**{**told, "ingredients": made_of})
            signer = _signer()
            first, *_ = [_sign(Path(path), claim, signer) for path in order["sign"]]
            answer: dict[str, Any] = {"id": first}
        elif "recasts" in order:
            answer = {"ids": [_recast(Path(path), order["whole"], order["project"]) for path in order["recasts"]]}
        elif "intact" in order:
            answer = {"intact": all(_is_recast(Path(path)) for path in order["intact"])}
        else:
            found = _read(Path(order["read"]))
            answer = {"found": asdict(found) if found else None}
    except UnderstudyError as error:
        answer = {"error": str(error), "media": isinstance(error, MediaError)}
    except OSError as error:
        answer = {"error": f"{error.filename or 'A file'} cannot be read or written ({error.strerror}).", "media": True}
    print(json.dumps(answer), flush=True)


def _recast(path: Path, whole: bool, project: str) -> str:
    """The id of the recast that a file says it is; empty where it says nothing of that, cannot be read, was changed
    (where it is asked for `whole`), or does not say that `project` made it (where one is named)."""
    try:
        found = _read(path)
    except (UnderstudyError, OSError):
        return ""
    if found is None or ((found.sidecar or whole) and found.tampered):
        return ""
    if project and not ("project" in found.facts and found.facts["project"] == _project_mark(project)):
        return ""
    return str(found.facts.get("id", ""))


def _project_mark(project: str) -> str:
    """What a recast says of the project folder that made it: only this user's key makes it, so neither a copy of the
    folder elsewhere nor a stranger's has the same, and nobody reads the folder's name in it; 32 hexadecimal digits."""
    return hmac.new(load_certificate().key, project.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:32]


def _read(path: Path) -> Credentials | None:
    carries = FORMATS.get(path.suffix.lower())
    with _in_plain_words(path), open_regular(path) as file:
        try:
            if carries:
                reader = c2pa.Reader(carries, file, context=_context())
            else:
                reader = c2pa.Reader(OTHER, file, manifest_data=read_bytes(sidecar(path)), context=_context())
        except c2pa.C2paError.ManifestNotFound:
            return None
        with reader:
            return _found(reader, not carries)


def _is_recast(path: Path) -> bool:
    try:
        if path.suffix == sidecar(path).suffix:
            with c2pa.Reader(OTHER, io.BytesIO(), manifest_data=read_bytes(path), context=_context()) as reader:
                found: Credentials | None = replace(_found(reader, True), state="")
        else:
            found = _read(path)
    except (MediaError, OSError, c2pa.C2paError):
        return False
    return found is not None and not found.tampered and "id" in found.facts


def _found(reader: Any, beside: bool) -> Credentials:
    manifest = reader.get_active_manifest() or {}
    results = reader.get_validation_results() or {}
    failures = [entry.get("code", "") for entry in results.get("activeManifest", {}).get("failure", [])]
    failures += [
        entry.get("code", "")
        for delta in results.get("ingredientDeltas", [])
        for entry in delta.get("validationDeltas", {}).get("failure", [])
    ]
    facts, actions = {}, []
    for assertion in manifest.get("assertions", []):
        if assertion["label"].startswith("org.understudy.recast"):
            facts = assertion["data"]
        if assertion["label"].startswith("c2pa.actions"):
            actions = [
                {k: str(action[k]) for k in ("action", "digitalSourceType", "description") if k in action}
                for action in assertion["data"]["actions"]
            ]
    ingredients = [
        {
            "title": str(entry.get("title", "")),
            "relationship": str(entry.get("relationship", "")),
            "credentials": str(entry.get("active_manifest", "")),
        }
        for entry in manifest.get("ingredients", [])
    ]
    signature = manifest.get("signature_info") or {}
    signer = " / ".join(dict.fromkeys(str(signature[k]) for k in ("common_name", "issuer") if signature.get(k)))
    problems = [code for code in dict.fromkeys(failures) if code != "signingCredential.untrusted"]
    state = str(reader.get_validation_state())
    return Credentials(str(manifest.get("label", "")), state, signer, problems, facts, ingredients, actions, beside)


def _sign(path: Path, claim: Claim, signer: Any) -> str:
    carries = FORMATS.get(path.suffix.lower())
    work, signed = (make_beside(path, keep_suffix=True) for _ in range(2))
    try:
        with _in_plain_words(path), _builder(claim) as builder:
            if can_carry(path):
                shutil.copyfile(path, work)
                add_xmp(work, f"Understudy {release()}")
            source = work if can_carry(path) else path
            if not carries:
                builder.set_no_embed()
            with open_regular(source) as unsigned, signed.open("w+b") as file:
                if carries:
                    builder.sign(signer, carries, unsigned, file)
                else:
                    with Path(os.devnull).open("w+b") as nowhere:
                        file.write(builder.sign(signer, OTHER, unsigned, nowhere))
            final = path if carries else sidecar(path)
            if carries:
                shutil.copymode(path, signed)
            put(signed, final)
        found = _read(path)
        if found is None or found.tampered:
            raise MediaError(f"The credentials of {path.name} do not hold ({found and found.problems}). Sign it again.")
        return found.id
    finally:
        for leftover in (work, signed):
            leftover.unlink(missing_ok=True)


def _builder(claim: Claim) -> Any:
    parent = next((i for i in claim.ingredients if i.relationship == "parentOf"), None)
    project = {"project": _project_mark(claim.project)} if claim.project else {}
    agent = {"name": "Understudy", "version": release()}
    edited = {
        "action": "c2pa.edited" if parent else "c2pa.created",
        "digitalSourceType": DIGITAL_SOURCE_TYPE,
        "softwareAgent": agent,
        "description": claim.description,
    }
    manifest = {
        "claim_generator_info": [agent],
        "title": claim.title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [edited]}},
            {"label": "org.understudy.recast", "data": claim.facts | project},
        ],
    }
    builder = c2pa.Builder(manifest, context=_context())
    if parent:
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
    for ingredient in claim.ingredients:
        described = {"title": ingredient.title, "relationship": ingredient.relationship}
        if ingredient.sha256:
            described["description"] = f"sha256 {ingredient.sha256}"
        if not _add_read(builder, ingredient.path, described):  # its hash says which file it was
            builder.add_ingredient(json.dumps(described), OTHER, io.BytesIO(ingredient.sha256.encode()))
    return builder


def _add_read(builder: Any, path: Path | None, described: dict[str, str]) -> bool:
    """Add an ingredient with the credentials of its own; answers False where C2PA reads nothing in it, as in a damaged
    movie that plays all the same."""
    kind = READABLE.get(path.suffix.lower(), OTHER) if path else OTHER
    if not path or kind == OTHER:
        return False
    with open_regular(path) as file:
        try:
            builder.add_ingredient(json.dumps(described), kind, file)
        except c2pa.C2paError:
            return False
    return True


@functools.cache
def _context() -> Any:
    return c2pa.Context.from_dict(SETTINGS)


def _signer() -> Any:
    found = load_certificate()
    try:
        info = c2pa.C2paSignerInfo(found.algorithm.encode(), found.chain, found.key, None)
        return c2pa.Signer.from_info(info)
    except c2pa.C2paError as error:
        raise UnderstudyError(
            f"The certificate cannot sign content credentials ({error}). C2PA asks for one with the key usage digital "
            "signature and the extended key usage document signing or email protection."
        ) from None


@contextlib.contextmanager
def _in_plain_words(path: Path) -> Iterator[None]:
    try:
        yield
    except c2pa.C2paError as error:
        raise MediaError(f"The content credentials of {path.name} could not be made or read ({error}).") from error


if __name__ == "__main__":
    main()
