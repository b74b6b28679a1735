"""What does another implementation of C2PA say of our content credentials, and of files tampered with?

usage: python benchmarks/provenance_second.py FOLDER    after: npm install --prefix FOLDER @trustnxt/c2pa-ts@0.9.4

c2pa-ts (TrustNXT, TypeScript, Apache-2.0) shares no code with the Rust library that signs. An mp4, a mov and pictures
are made, signed with a source and a faceset as ingredients, and read by both; copies of each are broken in five ways.
Prints a line for each copy; exit code 1 when the two disagree or a broken file passes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from conftest import counter_picture, write_clip
from understudy.engine.errors import MediaError
from understudy.engine.provenance.credentials import Claim, Ingredient, read_credentials, sign

SUFFIXES = (".mp4", ".mov", ".png", ".tif", ".jpg")
SAID = "A face was replaced by machine learning."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    library = parser.parse_args().folder
    if not shutil.which("node") or not (library / "node_modules/@trustnxt/c2pa-ts").is_dir():
        sys.exit(f"SKIPPED: Node.js, or c2pa-ts in {library}, is missing. The usage says how to get it.")
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        os.environ["UNDERSTUDY_HOME"] = str(folder / "home")
        files = [path for suffix in SUFFIXES for path in copies(folder, suffix)]
        script = Path(__file__).with_suffix(".mjs")
        told = subprocess.run(["node", script, library.resolve(), *files], capture_output=True, text=True, check=True)
        second = {Path(line["file"]): line for line in map(json.loads, told.stdout.splitlines())}
        wrong = 0
        for path in files:
            ours, theirs, good = first(path), second[path], path.stem == "untouched"
            agreed = theirs["valid"] is good and ours[0] is good
            wrong += not agreed
            why = "; ".join(theirs["failures"]) or f"{theirs['checked']} checks"
            print(
                f"{'' if agreed else 'WRONG '}{path.suffix} {path.stem}: c2pa-ts {theirs['valid']} ({why}), ours {ours}"
            )
    sys.exit(bool(wrong))


def first(path: Path) -> tuple[bool, str]:
    """The library's own verdict."""
    try:
        found = read_credentials(path)
    except MediaError as error:
        return False, str(error)[:60]
    return (False, "none") if found is None else (not found.tampered, found.state)


def copies(folder: Path, suffix: str) -> list[Path]:
    """A signed file of one kind, and copies of it that were tampered with."""
    place = folder / suffix[1:]
    place.mkdir()
    source, signed = write_clip(place / "source.mp4", 6), place / f"untouched{suffix}"
    if suffix in (".mp4", ".mov"):
        write_clip(signed, 6)
    else:
        cv2.imwrite(str(signed), counter_picture(3, 160, 96))
    sign(source, Claim("source", "A film was made.", []))  # credentials of its own, that the recast has to keep
    before = signed.read_bytes()
    made_of = [Ingredient("source.mp4", "parentOf", "ab" * 32, source), Ingredient("faceset", "inputTo", "cd" * 32)]
    sign(signed, Claim("recast", SAID, made_of, {"id": "x", "mark": 3}))
    data = signed.read_bytes()
    pixel = data.index(before[len(before) // 2 :][:64]) + 3
    changes: dict[str, Callable[[bytearray], object]] = {
        "pixels": lambda b: b.__setitem__(pixel, b[pixel] ^ 1),
        "claim": lambda b: b.__setitem__(slice(0, None), bytes(b).replace(b"replaced by", b"improved by")),
        "facts": lambda b: b.__setitem__(b.index(b"org.understudy.recast") + 60, 0x61),
        "xmp": lambda b: b.__setitem__(slice(0, None), bytes(b).replace(b"CreatorTool=", b"CreatorFool=")),
        "ingredient": lambda b: b.__setitem__(slice(0, None), bytes(b).replace(b"sha256 abab", b"sha256 abac")),
    }
    found = [signed]
    for name, change in changes.items():
        changed = bytearray(data)
        change(changed)
        assert changed != data, (suffix, name)
        path = place / f"{name}{suffix}"
        path.write_bytes(changed)
        found.append(path)
    return found


if __name__ == "__main__":
    main()
