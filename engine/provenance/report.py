"""One page for the file: who was recast where, on what basis, with every hash and date. Prints well; no network."""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path
from typing import Any

from ..durable import SHARED, hash_file, write_bytes
from ..protocol import ReportSpec
from ..reading import read_bytes
from .consent import all_consents, today
from .credentials import release
from .outputs import require_output
from .recasts import Recast, all_recasts

_STYLE = """
body { font: 10.5pt/1.45 Georgia, serif; margin: 2.2cm auto; max-width: 18cm; color: #111 }
h1 { font-size: 18pt; margin: 0 } h2 { font-size: 13pt; margin: 1.6em 0 .4em; border-bottom: 1px solid #999 }
table { border-collapse: collapse; width: 100%; page-break-inside: auto }
th, td { text-align: left; vertical-align: top; padding: .25em .6em .25em 0; border-bottom: 1px solid #ddd }
th { font-weight: 600; white-space: nowrap } tr { page-break-inside: avoid }
code { font: 8pt/1.3 monospace; overflow-wrap: anywhere } .note { color: #555; font-size: 9pt } .bad { color: #a00 }
@page { size: A4; margin: 1.6cm } @media print { body { margin: 0 } }
"""


def write_report(project: Path, output: Path, overwrite: bool = False) -> Path:
    """Write the report of a project as self-contained HTML, in place of an earlier one only unless `overwrite`.

    Raises DataError when a record is damaged, UnderstudyError when something else is there.
    """
    consents, recasts = all_consents(project), all_recasts(project)
    parts = [
        f"<h1>Recast report: {escape(project.stem)}</h1>",
        f'<p class="note">{escape(str(project))}, {today()}, Understudy {escape(release())}</p>',
        "<h2>People and their consent</h2>",
        _table(["Name here", "Person", "Basis", "Scope", "Date", "Document"], [_consent(project, c) for c in consents]),
        *(["<p>Nobody's consent is on record.</p>"] if not consents else []),
        "<h2>Recasts</h2>",
        *(_recast(recast) for recast in recasts),
        *(["<p>Nothing was recast.</p>"] if not recasts else []),
    ]
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(project.stem)}: recast report</title>'
    text = f"{page}<style>{_STYLE}</style>{''.join(parts)}</html>\n".encode(errors="backslashreplace")
    output.parent.mkdir(parents=True, exist_ok=True)
    spec = ReportSpec(project=str(project), output=str(output), overwrite=overwrite)
    write_bytes(output, text + _seal(text), SHARED, lambda _: require_output(spec))
    return output


def is_report(path: Path) -> bool:
    """Whether a file is a report as it was written. Raises OSError."""
    text = read_bytes(path) if path.is_file() else b""
    return len(text) > SEAL and _seal(text[:-SEAL]) == text[-SEAL:]


def _seal(text: bytes) -> bytes:
    """The report's last line, by which it is known again."""
    return f"<!-- Understudy report, sha256 {hashlib.sha256(text).hexdigest()} -->\n".encode()


SEAL = len(_seal(b""))
"""Bytes."""


def _consent(project: Path, record: dict[str, Any]) -> list[str]:
    if "forgotten" in record:
        told = f"forgotten on {record['forgotten']}; their faces were erased"
        return [escape(str(record["identity"])), "", "", told, "", ""]
    rows = [escape(str(record[key])) for key in ("identity", "person", "basis", "scope", "date")]
    if earlier := len(record.get("history", [])):
        rows[4] += f'<br><span class="note">{earlier} earlier record{"s" * (earlier > 1)}</span>'
    return [*rows, _document(project, record)]


def _document(project: Path, record: dict[str, Any]) -> str:
    if not record.get("file"):
        return "none"
    path = project / "consent" / record["file"]
    told = f"{escape(record['file'])}<br><code>sha256 {escape(record['file_sha256'])}</code>"
    if not path.resolve().is_relative_to(project.resolve()):  # a record may name any file, and come from anybody
        return f'{told}<br><span class="note">kept outside the project, and not looked at</span>'
    if not path.is_file():
        return f'{told}<br><span class="bad">not there any more</span>'
    if hash_file(path) != record["file_sha256"]:
        return f'{told}<br><span class="bad">CHANGED since it was recorded</span>'
    return told


def _recast(recast: Recast) -> str:
    output = Path(recast.output)
    mark = f"{recast.mark:04x}" if recast.mark is not None else f"left out: {escape(recast.mark_reason)}"
    who = "<br>".join(
        f"{escape(c.target)} ({escape(c.target_person or 'no consent on record')}) appears with the face of "
        f"{escape(c.identity)} ({escape(c.identity_person or 'no consent on record')})"
        for c in recast.cast
    )
    rows = [
        ["Who", who],
        ["Date", escape(recast.date)],
        ["Footage", f"{escape(recast.source)}, frames {recast.start} to {recast.end - 1}{_code(recast.source_sha256)}"],
        ["Result", f"{escape(recast.output)}, {recast.recast} of {recast.frames} frames recast"
         f"{_code(recast.output_sha256)}{'' if output.exists() else '<br>not there any more'}"],
        ["Model", f"{escape(recast.model)}{_code(recast.model_sha256) if recast.model_sha256 else ' (draft)'}"],
        ["Facesets", "".join(f"{escape(name)}{_code(digest)}<br>" for name, digest in recast.facesets.items())],
        ["Mark", mark],
        ["Content credentials", f"<code>{escape(recast.credentials)}</code>"],
    ]  # fmt: skip
    return f"<h3>{escape(output.name)}</h3>{_table([], rows)}"


def _code(digest: str) -> str:
    return f"<br><code>sha256 {escape(digest)}</code>"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{head}</th>" for head in heads)
    cells = ["<th>" + row[0] + "</th>" + "".join(f"<td>{cell}</td>" for cell in row[1:]) for row in rows]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table>{'<tr>' + top + '</tr>' if heads else ''}{body}</table>" if rows else ""
