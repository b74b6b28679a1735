"""`understudy doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..printing import say
from .arguments import Json


@dataclass(kw_only=True)
class Doctor:
    """Say what is installed, what is missing, and how to mend it."""

    json: Json = False

    manual: ClassVar[str] = """\
  Looks at Python, the libraries, the device that computes, the face networks, the disk and the
  running engine. Exit code 0 means that a swap can run.

Example
  understudy doctor
"""

    def run(self) -> dict[str, Any]:
        """Examine, and show what was found."""
        from ..doctor import examine, show, verdict

        checks = examine()
        show(checks)
        code, sentence = verdict(checks)
        say(sentence)
        found = {check.name: {"found": check.found, "ok": check.ok, "mend": check.mend} for check in checks}
        return {"checks": found, **({"error": sentence, "exit_code": code} if code else {})}
