"""Take a track apart: the voice in one file, the rest in another; their samples sum to the track's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..durable import Allow
from ..errors import MediaError
from ..media.waveform import SoundWriter, add_change, check_sound_output, probe_sound, read_spans, to_float
from ..protocol import SoundClip
from ..reporter import Reporter
from .pieces import Piece, cut, join
from .recast import beside, clip_of
from .separate import separate


def separate_file(
    clip: SoundClip,
    voice: Path | None,
    rest: Path | None,
    reporter: Reporter,
    device: str = "cpu",
    allow: Allow | None = None,
) -> dict[str, Any]:
    """Write the voice and the rest of a clip, each as long as the clip; None leaves one out. `allow` is asked about
    what lies there by then, as `durable.put` does. Raises MediaError, and what `allow` raises."""
    info = probe_sound(Path(clip.path), clip.track)
    first, end = clip_of(clip, info)
    if info.channels > 2:
        raise MediaError(f"{info.path.name} has {info.channels} channels. Mix it to stereo first.")
    for output in filter(None, (voice, rest)):
        check_sound_output(output, info)
        if output.suffix.lower() not in (".wav", ".flac"):
            raise MediaError(f"{output.name} would be compressed. Name a .wav or .flac.")
    pieces = cut(info.samples, info.rate, (first, end))

    def stems() -> Iterator[tuple[Piece, np.ndarray]]:
        for number, (piece, samples) in enumerate(
            zip(pieces, read_spans(info, [piece.span for piece in pieces]), strict=True)
        ):
            reporter.check()
            reporter.progress(number / len(pieces), "Separating the voice")
            yield piece, separate(to_float(samples), info.rate, device)

    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(SoundWriter(path, info, allow=allow)) if path else None for path in (voice, rest)
        ]
        for _, rows, samples in beside(info, join(stems(), info.rate), pieces):
            alone = add_change(np.zeros_like(samples), rows, info.bits)
            for writer, part in zip(writers, (alone, samples - alone), strict=True):
                if writer:
                    writer.write(part)
    return {"samples": end - first, "rate": info.rate, "channels": info.channels}
