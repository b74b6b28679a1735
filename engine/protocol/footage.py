"""What is to be known of footage before it is recast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FindingKind = Literal["is", "kept", "lost", "cannot"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know of footage, in a sentence.

    is: what it is; kept: what of it is in a recast, too; lost: what is not, or otherwise; cannot: what cannot be done
    with it.
    """

    kind: FindingKind
    text: str


@dataclass(frozen=True, kw_only=True)
class FootageReport:
    """All that is to be known of footage, by kind in the order of `FindingKind`."""

    findings: list[Finding]
