"""Carry a movie's sound into the recast one, cut to the range sample by sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from .open import LACKS_MEMORY, open_movie

Timed = tuple[float, Packet]  # seconds in the output, and what to write then

QUICKTIME = {".mp4", ".m4v", ".mov"}
COPIED = {"aac", "mp3", "ac3", "eac3", "alac"}  # what players expect inside MP4
AAC_RATES = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
AAC_LAYOUTS = {"mono", "stereo", "3.0", "4.0", "5.0", "5.0(side)", "5.1", "5.1(side)", "7.1", "7.1(wide)"}
USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
PACKED = {"s16": "s16", "s16p": "s16", "s32": "s32", "s32p": "s32", "u8": "s16", "u8p": "s16"}
PCM_OF = {"s16": "pcm_s16le", "s32": "pcm_s32le", "flt": "pcm_f32le"}
GAP_SECONDS = 0.02  # seconds: timestamps that jump further than this are silence or overlap, less is rounding


def sound_tracks(
    output: OutputContainer, target: Path, source: Path, span: tuple[float, float], whole: bool
) -> list[Iterator[Timed]]:
    """Add the source's sound tracks to `output`; each iterator gives its packets in order.

    `span` is the range in seconds of the source's clock. Tracks are copied as they are when
    the `whole` movie is kept and both files are of the MP4 family; otherwise they are decoded,
    cut, and encoded as AAC at 320 kbit/s or more (.mp4) or PCM (.mov, .mkv, and channels that AAC does not know).
    """
    with open_movie(source) as container:
        quicktime = "mp4" in container.format.name and target.suffix.lower() in QUICKTIME
        copied = {
            number: whole and quicktime and container.streams.audio[number].codec_context.codec.canonical_name in COPIED
            for number in readable(container)
        }
    tracks = []
    for number in copied:
        reader = open_movie(source)
        stream = reader.streams.audio[number]
        if copied[number]:
            copy = output.add_stream_from_template(stream)
            tracks.append(_copied(reader, stream, copy, span[0]))
        else:
            compressed = target.suffix.lower() in {".mp4", ".m4v"} and channel_layout(stream) in AAC_LAYOUTS
            tracks.append(_encoded(stream, _add_encoder(output, stream, compressed), span))
    return tracks


def readable(container: InputContainer) -> list[int]:
    """Numbers, among the sound tracks, of those that this FFmpeg decodes (an iPhone's second one, `apac`, is not)."""
    return [
        number
        for number, stream in enumerate(container.streams.audio)
        if stream.codec_context is not None and stream.codec_context.sample_rate > 0 and stream.channels > 0
    ]


def lost_tracks(path: Path) -> int:
    """How many sound tracks of a movie nothing here decodes: the recast is without them. Raises MediaError."""
    with open_movie(path) as container:
        return len(container.streams.audio) - len(readable(container))


def _copied(reader: InputContainer, stream: AudioStream, copy: AudioStream, start: float) -> Iterator[Timed]:
    with reader:
        for packet in reader.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            offset = round(start / float(packet.time_base))
            packet.pts -= offset
            packet.dts -= offset
            packet.stream = copy
            yield packet.pts * float(packet.time_base), packet


def _add_encoder(output: OutputContainer, stream: AudioStream, compressed: bool) -> AudioStream:
    codec = "aac" if compressed else PCM_OF[working_format(stream)]
    rate = stream.rate if stream.rate in AAC_RATES or not compressed else 48000
    encoder = cast(AudioStream, output.add_stream(codec, rate=rate))
    if compressed:
        encoder.bit_rate = max(320_000, 160_000 * stream.channels)
    encoder.layout = channel_layout(stream)
    if stream.language:
        encoder.metadata["language"] = stream.language
    return encoder


def _encoded(stream: AudioStream, encoder: AudioStream, span: tuple[float, float]) -> Iterator[Timed]:
    working, layout, rate, position = working_format(stream), channel_layout(stream), stream.rate, 0
    with stream.container:
        for samples in cut_samples(stream, span):
            frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format=working, layout=layout)
            frame.sample_rate = rate
            frame.pts = position
            position += len(samples)
            for packet in encoder.encode(frame):
                yield _time_of(packet), packet
        for packet in encoder.encode(None):
            yield _time_of(packet), packet


def cut_samples(stream: AudioStream, span: tuple[float, float]) -> Iterator[np.ndarray]:
    """(samples, channels) pieces, int16, int32 or float32, that together are exactly the span of a sound track.

    Decodes from the very start and counts samples, because packet times may be rounded to
    milliseconds; silence fills gaps, and the time before a track that starts late.
    """
    rate, channels = stream.rate, stream.channels  # as the file says: with a damaged packet the decoder changes them
    working, layout = working_format(stream), channel_layout(stream)
    resampler, shape = av.AudioResampler(working, layout, rate), None
    start, end = round(span[0] * rate), round(span[1] * rate)
    written, position = start, None
    for frame in _decoded_sound(stream):
        stated = position if frame.pts is None else round(frame.pts * float(frame.time_base or 0) * rate)
        if position is None or (stated is not None and abs(stated - position) > GAP_SECONDS * rate):
            position = stated or 0
        if (now := (frame.format.name, frame.layout.name, frame.sample_rate)) != shape:
            resampler, shape = av.AudioResampler(working, layout, rate), now
        for piece in resampler.resample(frame):
            samples = piece.to_ndarray().reshape(-1, channels)
            first, position = position, position + len(samples)
            kept = samples[max(written - first, 0) : max(end - first, 0)]
            if not len(kept):
                continue
            if first > written:
                yield np.zeros((first - written, channels), samples.dtype)
                written = first
            yield kept
            written += len(kept)
        if written >= end:
            return


def _decoded_sound(stream: AudioStream) -> Iterator[AudioFrame]:
    for packet in stream.container.demux(stream):  # type: ignore[attr-defined]
        try:
            yield from packet.decode()
        except LACKS_MEMORY:
            raise
        except av.FFmpegError:
            continue  # damaged sound becomes a gap, and gaps become silence


def working_format(stream: AudioStream) -> str:
    """The numbers that a track's samples are read as: s16, s32 or flt."""
    return PACKED.get(stream.format.name, "flt")  # packed: PyAV takes no planar frame of eight channels


def channel_layout(stream: AudioStream) -> str:
    """FFmpeg's name of a track's channels, the usual one of their number where it has none."""
    name = stream.layout.name
    return USUAL_LAYOUTS.get(stream.channels, name) if name.endswith("channels") or stream.channels < 3 else name


def _time_of(packet: Packet) -> float:
    return float((packet.pts or 0) * packet.time_base)
