"""A conversion that was stopped or killed goes on, and its result is the uninterrupted one's, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from understudy.engine.errors import MediaError, Stopped
from understudy.engine.media import segments
from understudy.engine.media.float_view import Patch
from understudy.engine.media.partial_output import matte_path, partial_folder, remove_partial
from understudy.engine.media.reader import Frame, probe, read_frames
from understudy.engine.media.segment_reuse import EarlierMovie
from understudy.engine.media.writer import MovieWriter

FRAMES = 31


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", 12)


@pytest.fixture(scope="module")
def footage(tmp_path_factory, make_clip) -> Path:
    tone = np.sin(np.arange(48000 * 2) / 20).astype(np.float32)[None]
    return make_clip(tmp_path_factory.mktemp("footage") / "in.mov", FRAMES, rate=Fraction(30000, 1001), sound=tone)


def patch_of(frame: Frame) -> list[Patch]:
    box = (40 + frame.index, 20, 100 + frame.index, 80)
    y, x = np.mgrid[0:60, 0:60]
    matte = np.clip(1.3 - np.hypot(x - 30, y - 30) / 25, 0, 1).astype(np.float32)
    old = frame.view(box)
    return [Patch(box[0], box[1], old + matte[..., None] * (0.5 - old), matte)]


def convert(output: Path, source: Path, stop_at: int | None = None, key="the settings", **how) -> list[int]:
    """Write the footage's frames 1 to 31; gives the frames that were made."""
    made = []
    with MovieWriter(output, probe(source), 1, FRAMES, key=lambda first, end: key, **how) as writer:
        for span in writer.missing():
            for frame in read_frames(source, *span):
                if frame.index == stop_at:
                    raise Stopped("Stopped.")
                writer.write(frame, patch_of(frame))
                made.append(frame.index)
    return made


def content(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize(("format", "suffix", "layer"), [
    ("h264", ".mp4", False), ("h264", ".mkv", False), ("h265", ".mov", False), ("prores-hq", ".mov", False),
    ("dnxhr", ".mov", False), ("ffv1", ".mkv", False), ("png", "", False), ("prores-4444", ".mov", True),
    ("exr", "", True),
])  # fmt: skip
def test_a_stopped_conversion_goes_on_and_ends_the_same(tmp_path, make_clip, footage, format, suffix, layer):
    source = footage
    if format == "dnxhr":
        source = make_clip(tmp_path / "in.mp4", FRAMES, width=256, height=120)
    whole, resumed = tmp_path / f"a/out{suffix}", tmp_path / f"b/out{suffix}"
    assert convert(whole, source, format=format, layer=layer) == list(range(1, FRAMES))
    with pytest.raises(Stopped):
        convert(resumed, source, stop_at=20, format=format, layer=layer)
    assert not resumed.exists() and partial_folder(resumed).is_dir()
    assert convert(resumed, source, format=format, layer=layer) == list(range(12, FRAMES))
    assert content(whole) == content(resumed)
    assert sorted(p.name for p in whole.parent.iterdir()) == sorted(p.name for p in resumed.parent.iterdir())
    assert not partial_folder(resumed).exists()
    if layer:
        assert content(matte_path(whole)) == content(matte_path(resumed))
    assert probe(whole).frames == FRAMES - 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_conversion_goes_on(tmp_path, footage):
    script = textwrap.dedent(f"""
        import importlib.util, os, signal, sys
        from pathlib import Path
        spec = importlib.util.spec_from_file_location("test_segments", {str(Path(__file__))!r})
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.segments.SEGMENT_FRAMES = 12
        def patch_of(frame, usual=module.patch_of):
            if frame.index == 27:
                os.kill(os.getpid(), signal.SIGKILL)
            return usual(frame)
        module.patch_of = patch_of
        module.convert(Path(sys.argv[1]), Path(sys.argv[2]), format="h264")
    """)
    output, whole = tmp_path / "out.mp4", tmp_path / "whole.mp4"
    command = [sys.executable, "-c", script, str(output), str(footage)]
    assert subprocess.run(command, env=os.environ, timeout=120, check=False).returncode == -signal.SIGKILL
    assert not output.exists()
    assert convert(output, footage, format="h264") == list(range(24, FRAMES))
    convert(whole, footage, format="h264")
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc fills memory with what it is told")
@pytest.mark.parametrize("format", ["h264", "h265", "ffv1"])
def test_the_same_frames_are_encoded_alike_whatever_was_in_memory(tmp_path, people_footage, format):
    script = textwrap.dedent(f"""
        import importlib.util, sys
        from pathlib import Path
        spec = importlib.util.spec_from_file_location("test_segments", {str(Path(__file__))!r})
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.convert(Path(sys.argv[1]), Path(sys.argv[2]), format={format!r})
    """)
    made = []
    for filled in ("0", "1", "85"):
        output = tmp_path / f"{filled}.mkv"
        command = [sys.executable, "-c", script, str(output), str(people_footage["carphone"])]
        environment = {**os.environ, "MALLOC_PERTURB_": filled}
        subprocess.run(command, env=environment, timeout=120, check=True)
        made.append(output.read_bytes())
    assert made[0] == made[1] == made[2]


def test_other_settings_take_nothing_over_and_damage_is_made_again(tmp_path, footage):
    output = tmp_path / "out.mp4"
    for again in ("other settings", "damage", "other format", "other footage"):
        with pytest.raises(Stopped):
            convert(output, footage, stop_at=27)
        source, how = footage, {}
        if again == "other settings":
            how = {"key": "others"}
        elif again == "damage":
            piece = sorted((partial_folder(output) / "segments").glob("*.nut"))[1]
            piece.write_bytes(piece.read_bytes()[:-100])
            assert convert(output, footage) == list(range(12, FRAMES))
            continue
        elif again == "other format":
            how = {"format": "h265"}
        else:
            source = tmp_path / "copy.mov"
            source.write_bytes(footage.read_bytes())
        assert convert(output, source, **how) == list(range(1, FRAMES))


def test_only_segments_whose_key_changed_are_made_again(tmp_path, footage):
    output = tmp_path / "out.mp4"
    with pytest.raises(Stopped):
        convert(output, footage, stop_at=27)
    made = []
    key = {1: "the settings", 12: "another face here", 24: "the settings"}
    with MovieWriter(output, probe(footage), 1, FRAMES, key=lambda first, end: key[first]) as writer:
        assert writer.missing() == [(12, FRAMES)]
        for frame in read_frames(footage, 12, FRAMES):
            writer.write(frame)
            made.append(frame.index)
    assert probe(output).frames == FRAMES - 1


def test_joining_keeps_sound_and_every_packet(tmp_path, footage, read_counter):
    output = tmp_path / "out.mov"
    convert(output, footage, format="h264")
    info = probe(output)
    assert info.fps == Fraction(30000, 1001) and info.has_audio
    assert [read_counter(f.rgb) for f in read_frames(output)] == list(range(1, FRAMES))
    with av.open(str(output)) as movie:
        keys = [n for n, p in enumerate(q for q in movie.demux(video=0) if q.size) if p.is_keyframe]
    assert {0, 11, 23} <= set(keys)


def test_what_a_cancelled_job_leaves_is_removed(tmp_path, footage):
    output = tmp_path / "out.mp4"
    with pytest.raises(Stopped):
        convert(output, footage, stop_at=20)
    remove_partial(output, keep_finished=True)
    assert partial_folder(output).is_dir()
    remove_partial(output)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Stopped):
        convert(output, footage, stop_at=9)  # not one segment is finished
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_what_is_finished(tmp_path, footage, disk_full_after):
    output = tmp_path / "out.mkv"
    with (
        ExitStack() as later,
        pytest.raises(MediaError, match="The disk is full"),
        MovieWriter(output, probe(footage), 1, FRAMES, format="ffv1", key=lambda a, b: "the settings") as writer,
    ):
        for frame in read_frames(footage, 1, FRAMES):
            if frame.index == 14:
                later.enter_context(disk_full_after(20000))
            writer.write(frame, [])
    assert not output.exists()
    assert convert(output, footage, format="ffv1") == list(range(12, FRAMES))


def test_a_folder_that_refuses(tmp_path, footage):
    if os.name != "posix" or os.geteuid() == 0:
        (tmp_path / "file").write_text("in the way")
        refused = tmp_path / "file" / "out.mp4"
    else:
        (tmp_path / "closed").mkdir(mode=0o500)
        refused = tmp_path / "closed" / "out.mp4"
    with pytest.raises(MediaError, match="could not be written"):
        convert(refused, footage)


def test_a_folder_with_other_files_is_not_replaced(tmp_path, footage):
    output = tmp_path / "pictures"
    convert(output, footage, format="png")
    assert convert(output, footage, format="png", key="others") == list(range(1, FRAMES))  # an earlier recast may be
    (output / "notes.txt").write_text("mine")
    with pytest.raises(MediaError, match="holds other files"):
        convert(output, footage, format="png")
    assert (output / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("format", "suffix"),
    [("h264", ".mp4"), ("h265", ".mov"), ("h264", ".mkv"), ("prores-hq", ".mov"), ("ffv1", ".mkv")],
)
def test_segments_are_taken_out_of_an_earlier_movie(format, suffix, tmp_path, footage):
    """Another range, one segment of another key: the rest is copied, and the result is the one made from nothing."""
    first, second, fresh = (tmp_path / f"{name}{suffix}" for name in ("first", "second", "fresh"))
    info = probe(footage)

    def make(output: Path, span: tuple[int, int], key, earlier=()) -> tuple[list[int], dict]:
        made = []
        with MovieWriter(output, info, *span, key=key, format=format, earlier=earlier) as writer:
            for part in writer.missing():
                for frame in read_frames(footage, *part):
                    writer.write(frame, patch_of(frame))
                    made.append(frame.index)
        return made, writer.record()

    made, told = make(first, (0, FRAMES), lambda a, b: f"{a}-{b}")
    assert made == list(range(FRAMES))
    kept = EarlierMovie.of(first, told)
    assert make(second, (0, 30), lambda a, b: "new" if a == 0 else f"{a}-{b}", [kept])[0] == [
        *range(12),
        *range(24, 30),
    ]
    make(fresh, (0, 30), lambda a, b: "fresh")
    assert second.read_bytes() == fresh.read_bytes()
    with first.open("r+b") as file:  # somebody else's picture in the middle of it
        file.seek(first.stat().st_size // 2)
        file.write(b"something else" * 20)
    made = make(second, (0, 30), lambda a, b: f"{a}-{b}", [kept])[0]
    assert made and second.read_bytes() == fresh.read_bytes()
    first.unlink()
    assert make(second, (0, 30), lambda a, b: f"{a}-{b}", [kept])[0] == list(range(30))
