"""Build everything that a release consists of into a folder, dist/ unless another is named.

usage: release.py [--bpy-environment FOLDER] [--output FOLDER]

    understudy-VERSION.zip                  the extension for Blender
    understudy-VERSION-py3-none-any.whl     the engine, for pip and pipx
    understudy-VERSION.tar.gz               the engine's source
    understudy-VERSION.cdx.json             what the engine is made of (CycloneDX 1.5)
    CHANGELOG.md
    extensions/                             a static repository: serve this folder, and Blender installs from it
    SHA256SUMS                              of all of these: `sha256sum -c SHA256SUMS`

Built from a copy of the files that git knows, so that nothing else gets in. The same files give the same bytes:
every time in them is SOURCE_DATE_EPOCH, or the last commit's.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

import package
import sbom

ROOT = Path(__file__).resolve().parents[1]
BUILT = re.compile(r"<p>Built [^<]*</p>")
"""The time that Blender's tool writes into the listing page."""
BUILD = "import sys, setuptools.build_meta as b; to = sys.argv[1]; b.build_sdist(to); b.build_wheel(to)"


def moment() -> int:
    """The time that everything is dated with, in seconds since 1970."""
    said = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct").decode().strip()
    if not said.isdigit():
        sys.exit("SOURCE_DATE_EPOCH has to be a whole number of seconds.")
    return int(said)


def version() -> str:
    """The version that the files of the tree agree on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))["version"]
    if project != manifest:
        sys.exit(f"pyproject.toml says version {project} and blender_manifest.toml {manifest}: make them the same.")
    if not re.search(rf"^## {re.escape(project)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M):
        sys.exit(f"CHANGELOG.md has no heading for version {project}: write what is new in it.")
    return project


def copy_tree(to: Path) -> None:
    """Every file that git knows, as it is now."""
    for name in _git("ls-files", "-z").decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def build_engine(source: Path, output: Path, when: int) -> None:
    """The wheel and the sdist, in `output`."""
    command = [sys.executable, "-c", BUILD, str(output)]
    more = {"SOURCE_DATE_EPOCH": str(when)}
    result = subprocess.run(command, cwd=source, env={**os.environ, **more}, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{result.stderr}\nsetuptools could not build the engine; its own words are above.")
    (archive,), (_,) = output.glob("*.tar.gz"), output.glob("*.whl")
    settle_sdist(archive, when)


def settle_sdist(archive: Path, when: int) -> None:
    """Have every sdist of the same files be the same: sorted, of one time and one owner."""
    plain = io.BytesIO()
    with tarfile.open(archive) as before, tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as after:
        for member in sorted(before.getmembers(), key=lambda one: one.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = when, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() else 0o644, {}
            after.addfile(member, before.extractfile(member) if member.isfile() else None)
    with archive.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=when) as packed:
        packed.write(plain.getvalue())


def make_repository(archive: Path, folder: Path, environment: Path, when: int) -> None:
    """A folder that Blender takes for a repository once a web server serves it."""
    folder.mkdir()
    shutil.copy(archive, folder)
    package.run(package.extension_tool(environment), "server-generate", f"--repo-dir={folder}", "--html")
    page = folder / "index.html"
    built = time.strftime("%Y-%m-%d, %H:%M", time.gmtime(when))
    page.write_text(BUILT.sub(f"<p>Built {built}</p>", page.read_text(encoding="utf-8")), encoding="utf-8")


def write_checksums(folder: Path) -> None:
    """SHA-256 of every file, as `sha256sum -c` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}" for file in files
    ]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def publish(made: Path, output: Path) -> None:
    """Put what was made in its place; other versions' files there stay, the repository's folder is replaced."""
    for path in sorted(made.iterdir()):
        final = output / path.name
        if final.is_dir():
            shutil.rmtree(final)
        path.replace(final)


def build(environment: Path, output: Path) -> None:
    number, when = version(), moment()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=output) as aside:
        source, made = Path(aside, "source"), Path(aside, "made")
        source.mkdir()
        made.mkdir()
        copy_tree(source)
        archive = package.build(environment, made, source, when)
        build_engine(source, made, when)
        make_repository(archive, made / "extensions", environment, when)
        bill = json.dumps(sbom.bill(number, when), indent=1, sort_keys=True)
        (made / f"understudy-{number}.cdx.json").write_text(bill + "\n", encoding="utf-8")
        shutil.copy(source / "CHANGELOG.md", made)
        write_checksums(made)
        publish(made, output)


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        sys.exit("A release is built from a checkout of the repository, with git.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bpy-environment", type=Path, default=ROOT / ".env" / "bpy50")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    if _git("status", "--porcelain", "--untracked-files=no").strip():
        print("There are changes that are not committed: they are in what is built.", file=sys.stderr)
    build(options.bpy_environment.resolve(), options.output)
    print((options.output / "SHA256SUMS").read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
