"""Footage looked at before it is recast, in a process of its own: what strangers' files do to a decoder stays there.

`python -m …footage_process` reads a `protocol.Clip` as JSON from standard input and writes a `protocol.FootageReport`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading

from .. import child_process
from ..protocol import Clip, Finding, FootageReport, from_json, to_json

DECODE_SECONDS = 5.0
"""So long frames are decoded for a report that somebody waits for."""
PATIENCE_SECONDS = 60.0
"""So long all of it may take: the index of a long film is read from its beginning to its end."""
ENDED = "It could not be looked at: what reads it ended or took too long. Convert it, and use that in its place."

_one = threading.Lock()


def examine_apart(clip: Clip) -> FootageReport:
    """All that is to be known of a clip's footage; one at a time, whoever asks. Any thread may call."""
    with _one:
        try:
            done = child_process.run(
                child_process.module(__name__), input=json.dumps(to_json(clip)), capture_output=True, text=True,
                encoding="utf-8", timeout=PATIENCE_SECONDS,
            )  # fmt: skip
            return from_json(FootageReport, json.loads(done.stdout.splitlines()[-1]))
        except (subprocess.TimeoutExpired, ValueError, IndexError):
            return FootageReport(findings=[Finding(kind="cannot", text=ENDED)])


def main() -> None:
    """Look at what standard input names."""
    from ..errors import UnderstudyError
    from ..media.examine import examine
    from ..media.footage import footage_of

    clip = from_json(Clip, json.loads(sys.stdin.read()))
    try:
        findings = examine(footage_of(clip), clip.start, clip.end, seconds=DECODE_SECONDS)
    except UnderstudyError as error:
        findings = [Finding(kind="cannot", text=str(error))]
    print(json.dumps(to_json(FootageReport(findings=findings))))


if __name__ == "__main__":
    main()
