"""Read and write sound sample by sample: one track of a movie or a sound file, in pieces, in its own numbers.

A track's samples are counted from 0, its first one, in the order played; gaps in it are silence. Samples come as the
file has them: (n, channels) int16, int32 or float32.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from scipy import signal

from ..durable import Allow, make_beside, put
from ..errors import MediaError
from .open import LACKS_MEMORY, create_movie, open_movie
from .sound import AAC_LAYOUTS, AAC_RATES, channel_layout, cut_samples, working_format

END_SECONDS = 1e7
"""Seconds: to the end of any track."""
BITRATE = 320_000
"""bit/s of what is compressed: no codec adds anything that is heard there."""
MP3_RATES = {48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
MOVIES = {".mp4", ".m4v", ".mov", ".mkv"}
SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", *sorted(MOVIES))
"""What can be written."""
READABLE = {
    *SUFFIXES,
    ".aac",
    ".ac3",
    ".aif",
    ".aiff",
    ".avi",
    ".m4b",
    ".mka",
    ".mts",
    ".ogg",
    ".opus",
    ".webm",
    ".wma",
}
"""Names that are taken for sound or movies in a folder."""
ENCODER_CHUNK_SAMPLES = 1 << 15
"""Samples handed to an encoder at a time."""


@dataclass(frozen=True, kw_only=True)
class SoundInfo:
    """One track of sound. `samples` is its exact count, `rate` in Hz; `layout` is FFmpeg's name of the channels;
    `sample` the numbers it is read as: s16, s32 (its upper 24 bits where `bits` is 24) or flt; `first` the time of
    sample 0 on the file's clock in seconds; `tracks` how many the file has; `movie`: there is a picture beside it."""

    path: Path
    track: int
    rate: int
    channels: int
    layout: str
    sample: str
    bits: int
    codec: str
    samples: int
    first: float
    tracks: int
    movie: bool

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self.rate


def probe_sound(path: Path, track: int = 0) -> SoundInfo:
    """Look at a track of sound, counting its samples by decoding it. Raises MediaError where there is none."""
    with open_movie(path) as container:
        stream = _stream(container, path, track)
        count = sum(len(piece) for piece in cut_samples(stream, (_first(stream), END_SECONDS)))
        if not count:
            raise MediaError(f"The sound of {path} is empty or damaged. Export it again.")
        sample = working_format(stream)
        return SoundInfo(
            path=path,
            track=track,
            rate=stream.rate,
            channels=stream.channels,
            layout=channel_layout(stream),
            sample=sample,
            bits=_bits(stream, sample),
            codec=stream.codec_context.codec.canonical_name,
            samples=count,
            first=_first(stream),
            tracks=len(container.streams.audio),
            movie=_picture(container),
        )


def read_spans(info: SoundInfo, spans: Sequence[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The samples of each span [start, end), (n, channels), in the order asked; starts must not go back.

    Spans may overlap; what lies before or after the track is silence. No more than the longest span is held.
    """
    with open_movie(info.path) as container:
        stream = _stream(container, info.path, info.track)
        begin = max(0, min((start for start, _ in spans), default=0))
        clock = (_first(stream) + begin / info.rate, END_SECONDS)
        pieces = cut_samples(stream, clock)
        held, at = np.zeros((0, info.channels), _dtype(info)), begin  # `held` begins at sample `at`
        for start, end in spans:
            kept = max(0, min(start - at, len(held)))
            held, at = held[kept:], at + kept
            parts = [held]
            while at + sum(map(len, parts)) < end:
                piece = next(pieces, None)
                if piece is None:
                    break
                skip = max(0, min(len(piece), start - at)) if not sum(map(len, parts)) else 0
                at += skip
                parts.append(piece[skip:].astype(held.dtype, copy=False))
            held = np.concatenate(parts)
            out = np.zeros((end - start, info.channels), held.dtype)
            low, high = max(start, at), min(end, at + len(held))
            if high > low:
                out[low - start : high - start] = held[low - at : high - at]
            yield out


def to_float(samples: np.ndarray) -> np.ndarray:
    """(n, channels) as read → (channels, n) float32, full scale −1..1."""
    scale = 1.0 if samples.dtype.kind == "f" else float(-int(np.iinfo(samples.dtype).min))
    return np.ascontiguousarray((samples.astype(np.float64) / scale).T.astype(np.float32))


def resample(x: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Sound at another rate along its last axis, ⌈n·target/rate⌉ samples, with no delay.

    Polyphase filtering with a zero-phase Kaiser window (β 10, 80 dB of stop band), so that sample n lies at the same
    time before and after.
    """
    if rate == target or not x.shape[-1]:
        return x
    common = math.gcd(rate, target)
    up, down = target // common, rate // common
    return signal.resample_poly(x, up, down, axis=-1, window=_low_pass(up, down)).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> np.ndarray:
    widest = max(up, down)
    return signal.firwin(2 * 24 * widest + 1, 0.95 / widest, window=("kaiser", 10.0))


def add_change(samples: np.ndarray, change: np.ndarray, bits: int) -> np.ndarray:
    """Samples as read (n, channels) with a `change` (channels, n) in full scale added; where it is 0, bit for bit what
    they were. Integers are rounded to `bits` and held within their range."""
    if samples.dtype.kind == "f":
        return samples + change.T.astype(np.float32)
    limits = np.iinfo(samples.dtype)
    step = 1 << (8 * samples.dtype.itemsize - bits)
    added = np.rint(change.T.astype(np.float64) * -limits.min / step) * step
    return np.clip(samples.astype(np.int64) + added.astype(np.int64), limits.min, limits.max).astype(samples.dtype)


def check_sound_output(output: Path, info: SoundInfo) -> None:
    """Raise MediaError for what cannot be written, before anything is computed."""
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise MediaError(f"{output.name} is no kind of sound that is written; name it {', '.join(SUFFIXES)}.")
    if suffix in MOVIES and not info.movie:
        raise MediaError(f"{info.path.name} has no picture, so no movie can be made of it. Name a .wav or .flac.")
    if output.exists() and output.samefile(info.path):
        raise MediaError(f"{output} is the source itself. Choose another name.")
    if suffix == ".mp3" and (info.channels > 2 or info.rate not in MP3_RATES):
        raise MediaError(f"MP3 holds no {info.channels} channels at {info.rate} Hz. Name a .wav or .flac.")
    if suffix == ".m4a" and (info.rate not in AAC_RATES or info.layout not in AAC_LAYOUTS):
        raise MediaError(f"M4A holds no {info.layout} at {info.rate} Hz here. Name a .wav or .flac.")
    if suffix == ".flac" and info.channels > 8:
        raise MediaError("FLAC holds eight channels at most. Name a .wav.")


class SoundWriter:
    """Writes a track like `info` to a sound file; a context manager. `write` takes (n, channels) as read.

    The file grows aside and gets its name when the block ends well; otherwise nothing is left. Samples of a WAV are
    the source's bit for bit (float ones too); FLAC holds 16 or 24 bits; MP3 and M4A are compressed at 320 kbit/s.
    `allow` is asked about what has the name by then, as `durable.put` does.
    """

    def __init__(self, output: Path, info: SoundInfo, comment: str = "", allow: Allow | None = None) -> None:
        self._output, self._info, self._comment, self._allow = output, info, comment, allow
        self._written = 0

    def __enter__(self) -> Self:
        self._output.parent.mkdir(parents=True, exist_ok=True)
        self._partial = make_beside(self._output, keep_suffix=True)
        self._container = create_movie(self._partial)
        if self._comment:
            self._container.metadata["comment"] = self._comment
        self._encoder = _add_encoder(self._container, self._output.suffix.lower(), self._info)
        return self

    def write(self, samples: np.ndarray) -> None:
        """Append samples."""
        for first in range(0, len(samples), ENCODER_CHUNK_SAMPLES):
            piece = np.ascontiguousarray(samples[first : first + ENCODER_CHUNK_SAMPLES])
            frame = AudioFrame.from_ndarray(piece.reshape(1, -1), format=self._info.sample, layout=self._info.layout)
            frame.sample_rate, frame.pts = self._info.rate, self._written
            frame.time_base = Fraction(1, self._info.rate)
            self._written += len(piece)
            self._container.mux(self._encoder.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._encoder.encode(None))
            self._container.close()
            if kind is None:
                put(self._partial, self._output, self._allow)
        finally:
            self._partial.unlink(missing_ok=True)


def replace_sound(movie: SoundInfo, sound: Path, output: Path, comment: str) -> None:
    """`output`: the movie with everything as it is but track `movie.track`, which becomes the sound file `sound`.

    Picture and other tracks are copied without being decoded. Raises MediaError where `output` cannot hold them.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    replacement = probe_sound(sound)
    partial = make_beside(output, keep_suffix=True)
    try:
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(open_movie(movie.path))
            fresh = stack.enter_context(open_movie(sound))
            target = stack.enter_context(create_movie(partial))
            target.metadata.update({**source.metadata, "comment": comment})
            _mux(source, fresh, target, movie, replacement, output.suffix.lower())
        put(partial, output)
    except LACKS_MEMORY:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{output.name} cannot hold what is in {movie.path.name} ({error}). Name a .mkv, or a .wav for the sound."
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _mux(
    source: InputContainer,
    fresh: InputContainer,
    target: OutputContainer,
    movie: SoundInfo,
    sound: SoundInfo,
    suffix: str,
) -> None:
    replaced = source.streams.audio[movie.track]
    kept = [s for s in source.streams if s.type in ("video", "audio", "subtitle") and s is not replaced]
    copies = {stream.index: target.add_stream_from_template(stream) for stream in kept}
    encoder = _add_encoder(target, suffix, sound)
    if replaced.language:
        encoder.metadata["language"] = replaced.language
    new = _encoded(fresh, sound, encoder, movie.first)
    waiting = next(new, None)
    for packet in source.demux(kept):
        if packet.dts is None:
            continue
        time = float(packet.dts * packet.time_base)
        while waiting is not None and waiting[0] <= time:
            target.mux(waiting[1])
            waiting = next(new, None)
        packet.stream = copies[packet.stream.index]
        target.mux(packet)
    while waiting is not None:
        target.mux(waiting[1])
        waiting = next(new, None)


def _encoded(
    container: InputContainer, info: SoundInfo, encoder: AudioStream, first: float
) -> Iterator[tuple[float, av.Packet]]:
    stream, at = container.streams.audio[0], round(first * info.rate)
    for samples in cut_samples(stream, (info.first, END_SECONDS)):
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format=info.sample, layout=info.layout)
        frame.sample_rate, frame.pts, frame.time_base = info.rate, at, Fraction(1, info.rate)
        at += len(samples)
        for packet in encoder.encode(frame):
            yield float((packet.dts or 0) * packet.time_base), packet
    for packet in encoder.encode(None):
        yield float((packet.dts or 0) * packet.time_base), packet


def _add_encoder(container: OutputContainer, suffix: str, info: SoundInfo) -> AudioStream:
    lossless = {"s16": "pcm_s16le", "s32": "pcm_s24le" if info.bits <= 24 else "pcm_s32le", "flt": "pcm_f32le"}
    compressed = {".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac", ".mp4": "aac", ".m4v": "aac"}
    codec = compressed.get(suffix, lossless[info.sample])
    if suffix in (".mp4", ".m4v") and (info.layout not in AAC_LAYOUTS or info.rate not in AAC_RATES):
        codec = "alac"
    encoder = cast(AudioStream, container.add_stream(codec, rate=info.rate))
    encoder.layout = info.layout
    if codec in ("libmp3lame", "aac"):
        encoder.bit_rate = BITRATE if codec == "libmp3lame" else max(BITRATE, 160_000 * info.channels)
    if codec == "flac":
        encoder.format = "s16" if info.sample == "s16" else "s32"
    return encoder


def _stream(container: InputContainer, path: Path, track: int) -> AudioStream:
    if not container.streams.audio:
        raise MediaError(f"{path} has no sound in it. Choose a movie with sound, or a sound file.")
    if not 0 <= track < len(container.streams.audio):
        count = len(container.streams.audio)
        raise MediaError(f"{path} has no sound track {track}; it has {count}, counted from 0.")
    stream = container.streams.audio[track]
    if stream.codec_context is None or not stream.rate or not stream.channels:
        raise MediaError(f"The sound of {path} cannot be decoded. Export it in a usual format.")
    return stream


def _picture(container: InputContainer) -> bool:
    return any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video)


def _first(stream: AudioStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _bits(stream: AudioStream, sample: str) -> int:
    if sample != "s32":
        return {"s16": 16, "flt": 32}[sample]
    raw = int(getattr(stream.codec_context, "bits_per_raw_sample", 0) or 0)
    return 24 if raw == 24 or stream.codec_context.codec.canonical_name in ("pcm_s24le", "pcm_s24be", "flac") else 32


def _dtype(info: SoundInfo) -> np.dtype:
    return np.dtype({"s16": np.int16, "s32": np.int32, "flt": np.float32}[info.sample])
