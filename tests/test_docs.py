"""Every relative link of the documentation leads to a file that exists, and to a heading of it where it names one.

Every page that the code names, and every file that a page names, exists; every command line of a page is one that the
program takes.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from understudy.engine import cli

ROOT = Path(__file__).parents[1]
MADE = {"build", "demo", "dist", "wheels", "shared"}
"""Top folders that hold nothing of the repository's."""
SOURCE = re.compile(r"`((?:addon|engine|tests|tools|benchmarks)/[\w./-]*\w)`")
CODE = ("addon", "engine", "tools", "tests", "benchmarks")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
NAMED = re.compile(r"\b(?:docs|benchmarks/runs)/[\w./-]*\.\w+")
FENCE = re.compile(r"^(?:```.*?^```|(?: {4}|\t).*?$)", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    ours = [top for top in ROOT.iterdir() if top.is_dir() and top.name[0] != "." and top.name not in MADE]
    found = [*ROOT.glob("*.md"), *(page for top in ours for page in top.rglob("*.md"))]
    assert len(found) > 5
    return sorted(found)


def plain(text: str) -> str:
    """The page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", page.read_text(encoding="utf-8"), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", LINK.sub(lambda m: m[0].split("]")[0], title).lower()).strip().replace(" ", "-")
        number = 1
        while (wanted := name if number == 1 else f"{name}-{number - 1}") in found:
            number += 1
        found.add(wanted)
    return found


def broken(page: Path) -> Iterator[str]:
    for target in LINK.findall(plain(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue  # another site's
        name, _, heading = unquote(target).partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or not path.is_relative_to(ROOT):
            yield f"{target}: no such file"
        elif heading and heading not in anchors(path):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert not list(broken(page))


def test_the_check_sees_broken_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# What it does: all\n\n## Twice\n\n## Twice\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#what-it-does-all) [c](other.md#twice-1) [d](https://example.org/x.md)\n"
        "`[e](not-a-link.md)`\n\n    [f](not-either.md)\n",
        encoding="utf-8",
    )
    assert not list(broken(page))
    page.write_text("[a](gone.md) [b](other.md#gone) [c](../outside.md)\n", encoding="utf-8")
    assert len(list(broken(page))) == 3


def test_code_names_pages_that_exist() -> None:
    files = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    lost = [
        f"{path.relative_to(ROOT)} names {name}"
        for path in files
        if path != Path(__file__)
        for name in NAMED.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert not lost


def test_pages_name_files_that_exist() -> None:
    lost = [
        f"{page.relative_to(ROOT)} names {name}"
        for page in pages()
        if page.parent != ROOT / "benchmarks" / "runs"  # which are as they were
        for name in SOURCE.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert not lost


def commands() -> Iterator[tuple[str, str]]:
    """(page, arguments) of every line of code that calls `understudy`."""
    for page in pages():
        for block in re.findall(r"(?:^ {4}.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                if found := re.match(r"(?:.*/|.*&& )?understudy (.*)", line.strip()):
                    yield str(page.relative_to(ROOT)), found[1]


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_commands_are_understood(page: str, line: str) -> None:
    assert cli._parse(shlex.split(line, comments=True)) is not None


def test_the_api_reference_is_current() -> None:
    path = ROOT / "tools" / "api_reference.py"
    spec = importlib.util.spec_from_file_location("api_reference", path)
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.reference(), f"make it anew: {path.relative_to(ROOT)}"
