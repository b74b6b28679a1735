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

from .frametable import open_movie

Timed = tuple[float, Packet]  # seconds in the output, and what to write then

QUICKTIME = {".mp4", ".m4v", ".mov"}
COPIED = {"aac", "mp3", "ac3", "eac3", "alac"}  # what players expect inside MP4
AAC_RATES = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
PLANAR_OF = {"s16": "s16p", "s16p": "s16p", "s32": "s32p", "s32p": "s32p", "u8": "s16p", "u8p": "s16p"}
PCM_OF = {"s16p": "pcm_s16le", "s32p": "pcm_s32le", "fltp": "pcm_f32le"}
GAP = 0.02  # seconds: timestamps that jump further than this are silence or overlap, less is rounding


def sound_tracks(
    output: OutputContainer, target: Path, source: Path, span: tuple[float, float], whole: bool
) -> list[Iterator[Timed]]:
    """Add the source's sound tracks to `output`; each iterator gives its packets in order.

    `span` is the range in seconds of the source's clock. Tracks are copied as they are when
    the `whole` movie is kept and both files are of the MP4 family; otherwise they are decoded,
    cut, and encoded as AAC at 320 kbit/s (.mp4) or PCM (.mov, .mkv).
    """
    with open_movie(source) as container:
        quicktime = "mp4" in container.format.name and target.suffix.lower() in QUICKTIME
        count = len(container.streams.audio)
        copied = [whole and quicktime and s.codec_context.name in COPIED for s in container.streams.audio]
    tracks = []
    for number in range(count):
        reader = open_movie(source)
        stream = reader.streams.audio[number]
        if copied[number]:
            copy = output.add_stream_from_template(stream)
            tracks.append(_copied(reader, stream, copy, span[0]))
        else:
            compressed = target.suffix.lower() in {".mp4", ".m4v"}
            tracks.append(_encoded(stream, _add_encoder(output, stream, compressed), span))
    return tracks


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
    codec = "aac" if compressed else PCM_OF[_working_format(stream)]
    rate = stream.rate if stream.rate in AAC_RATES or not compressed else 48000
    encoder = cast(AudioStream, output.add_stream(codec, rate=rate))
    if compressed:
        encoder.bit_rate = 320_000
    encoder.layout = _layout(stream)
    if stream.language:
        encoder.metadata["language"] = stream.language
    return encoder


def _encoded(stream: AudioStream, encoder: AudioStream, span: tuple[float, float]) -> Iterator[Timed]:
    working, layout, position = _working_format(stream), _layout(stream), 0
    with stream.container:
        for samples in cut_samples(stream, span):
            frame = AudioFrame.from_ndarray(samples, format=working, layout=layout)
            frame.sample_rate = stream.rate
            frame.pts = position
            position += samples.shape[1]
            for packet in encoder.encode(frame):
                yield _time_of(packet), packet
        for packet in encoder.encode(None):
            yield _time_of(packet), packet


def cut_samples(stream: AudioStream, span: tuple[float, float]) -> Iterator[np.ndarray]:
    """(channels, samples) pieces that together are exactly the span of a sound track.

    Decodes from the very start and counts samples, because packet times may be rounded to
    milliseconds; silence fills gaps, and the time before a track that starts late.
    """
    resampler = av.AudioResampler(format=_working_format(stream), layout=_layout(stream), rate=stream.rate)
    rate = stream.rate
    start, end = round(span[0] * rate), round(span[1] * rate)
    written, position = start, None
    for frame in _decoded_sound(stream):
        stated = position if frame.pts is None else round(frame.pts * float(frame.time_base or 0) * rate)
        if position is None or (stated is not None and abs(stated - position) > GAP * rate):
            position = stated or 0
        for piece in resampler.resample(frame):
            samples = piece.to_ndarray()
            first, position = position, position + samples.shape[1]
            kept = samples[:, max(written - first, 0) : max(end - first, 0)]
            if kept.shape[1] == 0:
                continue
            if first > written:
                yield np.zeros((samples.shape[0], min(first, end) - written), samples.dtype)
                written = first
            yield np.ascontiguousarray(kept)
            written += kept.shape[1]
        if written >= end:
            return


def _decoded_sound(stream: AudioStream) -> Iterator[AudioFrame]:
    for packet in stream.container.demux(stream):  # type: ignore[attr-defined]
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue  # damaged sound becomes a gap, and gaps become silence


def _working_format(stream: AudioStream) -> str:
    return PLANAR_OF.get(stream.format.name, "fltp")


def _layout(stream: AudioStream) -> str:
    return {1: "mono", 2: "stereo"}.get(stream.channels, stream.layout.name)


def _time_of(packet: Packet) -> float:
    return float((packet.pts or 0) * packet.time_base)
