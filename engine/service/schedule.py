"""Which job is next: a pure function of the jobs as they stand.

Scans, trainings and conversions, of faces and of voices, take a device each to themselves; the other kinds are light
and run beside them, one at a time, because two corrections of one scan must come in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..protocol import Job, JobKind

HEAVY_KINDS: frozenset[JobKind] = frozenset({"scan", "train", "convert", "voice-train", "voice"})
LIGHT = -1  # the lease of a light job; devices are counted from 0


@dataclass(frozen=True)
class Start:
    """A job that may begin, with the device it has for itself (or LIGHT)."""

    job: Job
    lease: int


@dataclass(frozen=True)
class Refuse:
    """A job that can never begin, and the sentence that says why."""

    job: Job
    error: str


def plan(
    jobs: Sequence[Job], by_id: Mapping[str, Job], busy: Mapping[str, int], devices: int
) -> Iterator[Start | Refuse]:
    """What to do with the queued ones of `jobs` (in the order of their turn).

    `busy` are the leases of the jobs that run, by id; there are `devices` to lease.
    """
    taken = set(busy.values())
    for job in jobs:
        if job.state != "queued" or job.id in busy:
            continue
        before = [(name, by_id.get(name)) for name in job.after]
        lost = next(
            ((name, other) for name, other in before if other is None or other.state in ("failed", "cancelled")), None
        )
        if lost:
            yield Refuse(job, _lost(*lost))
        elif all(other is not None and other.state == "done" for _, other in before):
            leases = range(devices) if job.kind in HEAVY_KINDS else [LIGHT]
            free = next((lease for lease in leases if lease not in taken), None)
            if free is not None:
                taken.add(free)
                yield Start(job, free)


def _lost(name: str, job: Job | None) -> str:
    if job is None:
        return f"This job waited for job {name}, which is no longer known. Start it again without that one."
    what = (
        "was cancelled" if job.state == "cancelled" else f"failed ({(job.error or 'no reason is known').rstrip('.')})"
    )
    return f"This job waited for the {job.kind} job {name}, which {what}. Retry that one first, then this one."
