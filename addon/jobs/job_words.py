"""What the jobs of the engine do, in the editor's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..i18n import tr
from ..state import steps

if TYPE_CHECKING:
    from ..state.properties import UnderstudyJob

LONG = {"scan", "train", "convert", "review", "voice-train", "voice"}
"""The kinds of job that may take minutes: that they began is said."""


def what(job: UnderstudyJob) -> str:
    """The job's kind in words."""
    if job.kind == "train" and steps.about(job).get("preset") == "draft":
        return tr("Gathering faces")
    return {
        "scan": tr("Finding people"),
        "train": tr("Training"),
        "convert": tr("Recasting"),
        "review": tr("Looking for doubtful frames"),
        "people": tr("Correcting who is who"),
        "consent": tr("Recording consent"),
        "forget": tr("Forgetting"),
        "report": tr("Writing the report"),
        "credential": tr("Adding content credentials"),
        "voice-train": tr("Making the voice"),
        "voice": tr("Recasting the voice"),
    }.get(job.kind, str(job.kind))
