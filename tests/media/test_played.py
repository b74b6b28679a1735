"""Frames counted as Blender plays a movie: held where a variable rate leaves some out, cut where sound goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from understudy.engine.errors import MediaError
from understudy.engine.media.footage import Footage
from understudy.engine.media.frametable import frame_table
from understudy.engine.media.played import as_played
from understudy.engine.media.reader import probe, read_frames, require_range
from understudy.engine.media.writer import MovieWriter

GAP = [*range(10), *range(20, 40)]
HELD = [*range(10), *[9] * 10, *range(10, 30)]


@pytest.mark.parametrize("name", ["gap.mp4", "gap.mkv"])
def test_a_variable_rate_is_recast_at_the_rate_it_is_played_at(tmp_path, make_clip, read_counter, name):
    path = make_clip(tmp_path / name, 30, times=GAP)
    assert probe(path).frames == 30 and probe(path).variable_frame_rate
    info = probe(Footage(path=path, played=True))
    assert (info.frames, info.fps, info.variable_frame_rate) == (40, 24, False)
    assert [read_counter(frame.rgb) for frame in read_frames(info.footage)] == HELD
    assert [(f.index, read_counter(f.rgb)) for f in read_frames(info.footage, 18, 22)] == list(
        enumerate(HELD[18:22], 18)
    )
    with MovieWriter(tmp_path / "part.mkv", info, 5, 25, format="ffv1") as writer:
        for frame in read_frames(info.footage, 5, 25):
            writer.write(frame)
    made = probe(tmp_path / "part.mkv")
    assert (made.frames, made.fps, made.variable_frame_rate) == (20, 24, False)
    assert [read_counter(frame.rgb) for frame in read_frames(made.path)] == HELD[5:25]


def test_a_range_that_goes_on_without_a_picture_is_cut(tmp_path, make_clip):
    path = make_clip(tmp_path / "long.mkv", 12, sound=np.zeros((1, 96000), np.float32))
    info = probe(Footage(path=path, played=True))
    assert require_range(info, 3, 48) == 12
    with pytest.raises(MediaError, match="12 frames"):
        require_range(info, 12, 48)
    with pytest.raises(MediaError, match="12 frames"):
        require_range(probe(path), 3, 48)


def test_what_has_no_such_stream_is_refused(tmp_path, make_clip):
    path = make_clip(tmp_path / "one.mp4", 4)
    with pytest.raises(MediaError, match="no picture stream 1"):
        probe(Footage(path=path, stream=1))


def test_frames_without_times_are_refused_in_a_sentence(tmp_path, make_clip):
    path = make_clip(tmp_path / "plain.mp4", 12)
    table = replace(frame_table(path), times=np.array([0, 2, 1]))
    with pytest.raises(MediaError, match="does not tell when its frames are shown"):
        as_played(table, Footage(path=path, played=True), 0, table.rate)
