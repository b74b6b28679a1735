"""`understudy doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..printing import say
from .arguments import Json, watching


@dataclass(kw_only=True)
class Doctor:
    """Say what is installed or missing and how to mend it, or what becomes of a file."""

    footage: Path | None = None
    """Say of a movie, a picture or a folder of pictures what it is, and what a recast keeps and loses of it."""
    json: Json = False

    manual: ClassVar[str] = """\
  Looks at Python, the libraries, the device that computes, the face networks, the disk and the
  running engine. Exit code 0 means that a swap can run.

  With --footage it looks at a file instead and decodes all of it: what it is, what will be kept,
  what will be lost, and what cannot be done. Blender's panel says the same. Exit code 3 means that
  it cannot be recast at all.

Example
  understudy doctor
  understudy doctor --footage shot.mp4
"""

    def run(self) -> dict[str, Any]:
        """Examine, and show what was found."""
        from ..doctor import examine, show, verdict

        if self.footage is not None:
            return _footage(self.footage)
        checks = examine()
        show(checks)
        code, sentence = verdict(checks)
        say(sentence)
        found = {check.name: {"found": check.found, "ok": check.ok, "mend": check.mend} for check in checks}
        return {"checks": found, **({"error": sentence, "exit_code": code} if code else {})}


def _footage(path: Path) -> dict[str, Any]:
    from ..errors import MediaError
    from ..media.examine import examine
    from ..protocol import FootageReport, to_json

    with watching("Nothing was changed.") as reporter, reporter.stage(f"Looking at {path.name}"):
        findings = examine(path.resolve(), report=reporter)
    for kind, title in TITLES.items():
        texts = [finding.text for finding in findings if finding.kind == kind]
        for number, text in enumerate(texts):
            say(f"{title if number == 0 else '':20}{text}")
    told = to_json(FootageReport(findings=findings))
    if any(finding.kind == "is" for finding in findings):
        return told
    return {**told, "error": findings[0].text, "exit_code": MediaError.exit_code}


TITLES = {"is": "What it is", "kept": "Kept", "lost": "Lost, or otherwise", "cannot": "Cannot be done"}
"""By `protocol.FindingKind`."""
