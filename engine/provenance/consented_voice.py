"""Whether a voice is of the one who agreed: consent belongs to a person, not to a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ConsentError
from .consent import bind, how_to_record, read_consent, seen_with

SAME_VOICE = 0.75
"""Cosine of two voices' embeddings under which they are two people's. Of five readers of LibriSpeech, 8 s at a time,
the same one's were .83 or more, and those of two .73 at most."""


def require_same_voice(project: Path, identity: str, look: np.ndarray, where: str) -> None:
    """Raise ConsentError when a voice would be made of somebody else than an identity's consent was used for.

    look: the voice's embedding (256,) of unit length, where: its recordings, as a sentence names them. A consent that
    nobody used yet is tied to this voice. Consent has to be on record (`require_consent`).
    """
    seen, record = seen_with(project, identity, "voice"), read_consent(project, identity, "voice")
    if seen is None or record is None:
        return
    strange = all(float(np.dot(known, look)) < SAME_VOICE for known in np.array(seen.faces).reshape(-1, len(look)))
    if seen.open:
        bind(project, identity, [look.tolist()] if strange else [], "voice")
    elif strange:
        raise ConsentError(
            f"The consent on record for {identity} is {record.person}'s, but the voice in {where} is somebody else's. "
            "Give them a name of their own, or another folder, and record whose voice it is; or, if it is "
            f"{record.person} after all, record it again: {how_to_record(project, identity, 'voice')}"
        )
