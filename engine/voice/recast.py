"""Recast the voice of a track of sound: separate, measure, make anew, put back.

Memory is that of one piece however long the track is, and an interrupted recast goes on where it was. What is written
is the track plus the change of its voice, so what is not the voice stays what it was.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..durable import make_folders, make_private, write_json
from ..errors import MediaError, Stopped, UnderstudyError
from ..media.partial_output import empty_partial, partial_folder, publish, require_own_partial
from ..media.waveform import (
    MOVIES,
    SoundInfo,
    SoundWriter,
    add_change,
    check_sound_output,
    probe_sound,
    read_spans,
    replace_sound,
    to_float,
)
from ..own_files import remove_ours
from ..protocol import Excitation, SoundClip, VoiceSettings, VoiceSpec, home, to_json
from ..provenance import voice_mark
from ..reading import read_text
from ..reporter import Part, Reporter
from ..settings import check_settings
from .picture import draw_spectrograms
from .pieces import Piece, cut, edges, join
from .pitches import note, propose
from .render import Manner, change_of, render
from .signal import FRAMES_A_SECOND, filter_changes
from .take import Take, analysis_of, measure, speaks, voice_of
from .target import Target

ALONE = 15.0
"""dB over what else sounds from which a voice is taken as it is in the track, not separated from it."""
ACCOMPANIED = 12.0
"""dB over what else sounds under which the actor's own waveform is kept: separation leaves traces in it."""
ROOMY = 150.0
"""dB a second: sound that falls no faster is in a room, and the actor's own waveform is kept. Fourteen dry recordings
fall by 156 to 361, the same in a room of 0.5 s, direct and reverberant sound alike, by 108 to 152."""
HELD = 8.0
"""Frames (80 ms) over which recasting sets in and ends around speech."""
CHUNK = 1 << 18
"""Samples that are copied at a time where nothing is recast."""
CENTRES = {"3.0": 2, "4.0": 2, "5.0": 2, "5.0(side)": 2, "5.1": 2, "5.1(side)": 2, "7.1": 2, "7.1(wide)": 2}
"""Where the centre lies in layouts that have one."""
HEARD = 1e-3
"""Highest value of a channel that counts as silent, −60 dB."""
SHOWN = 6
"""Seconds in the picture of before and after."""
COMMENT = "Recast with Understudy: contains a synthetic voice"

Certify = Callable[[dict[str, Any], Mapping[Path, Path]], Mapping[Path, Path]]
"""Signs and records a recast before it gets its name: the facts that `recast_voice` returns, and what
`media.partial_output.Certify` takes and gives."""


def recast_voice(
    spec: VoiceSpec, reporter: Reporter, device: str = "cpu", certify: Certify | None = None
) -> dict[str, Any]:
    """Write `spec.output`, which `certify` signs and records first; returns what was done, in plain JSON.

    Raises NoVoiceError, MediaError or DataError, or what `certify` raises, and then leaves nothing new; Stopped leaves
    what was measured beside the output for the next time.
    """
    output = Path(spec.output)
    check_settings(spec.settings)
    info = probe_sound(Path(spec.clip.path), spec.clip.track)
    check_sound_output(output, info)
    target = Target.load(Path(spec.voice), spec.draft)
    clip = clip_of(spec.clip, info)
    work = _work_folder(output, spec, info)
    try:
        made = work / f"made{output.suffix}"
        result = _recast(spec, info, clip, target, made, reporter, device)
        publish({output: made}, certify and partial(certify, result))
    except UnderstudyError as error:
        if not isinstance(error, Stopped):
            _remove(work)
        raise
    _remove(work)
    return result


def _remove(work: Path) -> None:
    with contextlib.suppress(OSError):
        remove_ours(work, "recast")


def clip_of(clip: SoundClip, info: SoundInfo) -> tuple[int, int]:
    """The clip in samples [start, end). Raises MediaError where it lies outside the track."""
    end = info.samples if clip.end is None else min(info.samples, round(clip.end * info.rate))
    start = round(clip.start * info.rate)
    if not 0 <= start < end:
        raise MediaError(
            f"The range {clip.start:g} to {'the end' if clip.end is None else f'{clip.end:g}'} s lies "
            f"outside {info.path.name}, which has {info.seconds:.2f} s. Choose a range within it."
        )
    return start, end


def decide(settings: VoiceSettings, take: Take, target: Target) -> tuple[int, float, Excitation]:
    """Octaves, semitones and excitation of a recast: as they were asked for, else as the voices propose.

    Raises UnderstudyError where the pitch is to be moved and the waveform kept, which cannot be.
    """
    octave, semitones = propose(take.f0, target.card.pitch[1], take.sung, target.card.sung)
    octave = octave if settings.octave is None else settings.octave
    semitones = semitones if settings.semitones is None else settings.semitones
    asked = settings.octave is not None or settings.semitones is not None
    if settings.excitation == "filter":
        if asked and (octave or semitones):
            raise UnderstudyError(
                "The actor's own waveform cannot be moved in pitch. Choose the excitation synth, or no octave and no "
                "semitones."
            )
        return 0, 0.0, "filter"
    if settings.excitation == "synth" or (asked and (octave or semitones)) or octave:
        return octave, semitones, "synth"
    robust = take.over_rest < ACCOMPANIED or take.fall < ROOMY or take.sung
    return (0, 0.0, "filter") if robust else (octave, semitones, "synth")


def _recast(
    spec: VoiceSpec, info: SoundInfo, clip: tuple[int, int], target: Target, made: Path, reporter: Reporter, device: str
) -> dict[str, Any]:
    """Write the file `made`, with all that is measured for it beside it; returns what was done."""
    pieces, settings, work = cut(info.samples, info.rate, clip), spec.settings, made.parent
    channels = voice_channels(info, pieces)
    take = measure(info, pieces, channels, work, Part(reporter, 0.0, 0.7), device)
    octave, semitones, excitation = decide(settings, take, target)
    moved = 12 * octave + semitones
    manner = Manner(synth=excitation == "synth", semitones=moved, band=take.band, keep_room=settings.keep_room)
    sound = work / "sound.wav" if made.suffix.lower() in MOVIES else made
    spoken = 0.0
    with SoundWriter(sound, info, COMMENT) as writer:
        for samples in _plain(info, 0, clip[0]):
            reporter.check()
            writer.write(samples * (not settings.stem))
        voices = _made(info, pieces, channels, work, take, target, manner, settings.mark)
        for start, rows, samples in beside(info, join(voices, info.rate), pieces):
            reporter.check()
            edge = edges(start, rows.shape[1], clip, info.rate)
            change, stem = np.split(rows[:-1] * edge, 2)
            spoken += float(rows[-1].sum()) / info.rate
            added = np.zeros((info.channels, rows.shape[1]), np.float32)
            added[channels] = stem if settings.stem else change
            writer.write(add_change(samples * (not settings.stem), added, info.bits))
            share = (start + rows.shape[1] - clip[0]) / (clip[1] - clip[0])
            reporter.progress(0.7 + 0.28 * share, "Recasting the voice")
        for samples in _plain(info, clip[1], info.samples):
            reporter.check()
            writer.write(samples * (not settings.stem))
    if sound != made:
        reporter.progress(0.99, "Putting the sound under the picture")
        replace_sound(info, sound, made, COMMENT)
    _show(info, sound, clip, Path(spec.output).stem, reporter)
    voiced = take.f0[take.f0 > 0]
    low, high = np.percentile(voiced, (5, 95)) * 2 ** (moved / 12)
    return {
        "samples": info.samples,
        "rate": info.rate,
        "channels": info.channels,
        "spoken": round(spoken, 2),
        "octave": octave,
        "semitones": semitones,
        "excitation": excitation,
        "sung": take.sung,
        "range": f"{note(low)} to {note(high)}",
    }


def _made(
    info: SoundInfo,
    pieces: Sequence[Piece],
    channels: list[int],
    work: Path,
    take: Take,
    target: Target,
    manner: Manner,
    mark: bool,
) -> Iterator[tuple[Piece, np.ndarray]]:
    """Each piece with the change of its channels, its new voice, and where it speaks: (2 · channels + 1, samples)."""
    alone = take.over_rest > ALONE
    spans = read_spans(info, [piece.span for piece in pieces]) if alone else iter(())
    for piece in pieces:
        voice = to_float(next(spans))[channels] if alone else voice_of(work, piece)
        one = analysis_of(voice, info.rate, work, piece)
        frame = piece.span[0] * FRAMES_A_SECOND // info.rate
        content = (one.content - take.mean) / take.spread
        heard = one.f0 * 2 ** (manner.semitones / 12 if manner.synth else 0)
        mel, noise = target.envelope(content, heard, one, take.loud)
        fresh = render(voice, info.rate, one, change_of(one, mel, manner.band), noise, manner, frame)
        if mark:
            fresh = filter_changes(fresh, info.rate, voice_mark.gains(frame, len(one.f0), info.rate))
        gate = np.clip(gaussian_filter1d(speaks(one, take).astype(float), HELD) * 2, 0, 1)
        at = np.arange(voice.shape[1]) / info.rate * FRAMES_A_SECOND
        open_ = np.interp(at, np.arange(len(gate)), np.where(gate > 0.02, gate, 0)).astype(np.float32)
        yield piece, np.concatenate([(fresh - voice) * open_, fresh * open_, open_[None]])


def beside(
    info: SoundInfo, parts: Iterator[tuple[int, np.ndarray]], pieces: Sequence[Piece]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each part with the track's own samples (n, channels) beside it: start, rows, samples."""
    first, end = pieces[0].core[0], pieces[-1].core[1]
    original = read_spans(info, [(at, min(at + CHUNK, end)) for at in range(first, end, CHUNK)])
    held = next(original)
    for start, rows in parts:
        while len(held) < rows.shape[1]:
            held = np.concatenate([held, next(original)])
        yield start, rows, held[: rows.shape[1]]
        held = held[rows.shape[1] :]


def _plain(info: SoundInfo, start: int, end: int) -> Iterator[np.ndarray]:
    """The track's samples as they are."""
    return read_spans(info, [(at, min(at + CHUNK, end)) for at in range(start, end, CHUNK)])


def voice_channels(info: SoundInfo, pieces: Sequence[Piece]) -> list[int]:
    """The channels that the voice is in: all of mono and stereo; of surround sound the centre, or the front pair where
    the centre is silent."""
    if info.channels <= 2:
        return list(range(info.channels))
    centre = CENTRES.get(info.layout)
    if centre is not None:
        spans = read_spans(info, [piece.core for piece in pieces])
        if any(np.abs(to_float(samples)[centre]).max(initial=0) > HEARD for samples in spans):
            return [centre]
    return [0, 1]


def _work_folder(output: Path, spec: VoiceSpec, info: SoundInfo) -> Path:
    """Where the first pass is kept; what another source, clip or rate left there goes."""
    require_own_partial(output)
    work = partial_folder(output)
    status = info.path.stat()
    key = json.dumps([to_json(spec.clip), info.rate, info.samples, status.st_size, status.st_mtime_ns])
    note_file = work / "clip.json"
    if not note_file.is_file() or read_text(note_file) != json.dumps(key):
        empty_partial(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        make_folders(work)
        write_json(note_file, key, indent=None)
    return work


def _show(info: SoundInfo, sound: Path, clip: tuple[int, int], name: str, reporter: Reporter) -> None:
    """The picture of a few seconds before and after, in a file of this name."""
    length = min(clip[1] - clip[0], SHOWN * info.rate)
    first = clip[0] + (clip[1] - clip[0] - length) // 2
    span = (first, first + length)
    made = probe_sound(sound)
    rows = [to_float(next(read_spans(one, [span]))).mean(0) for one in (info, made)]
    folder = make_private(home() / "previews")
    path = folder / f"{name}-{span[0]}.jpg"
    draw_spectrograms(path, rows, info.rate)
    reporter.preview(path, "The sound before and after")
