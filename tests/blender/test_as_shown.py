"""Files whose frames Blender counts otherwise than they are stored: the engine reads what Blender shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import bpy
import flow
import footage
import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ["UNDERSTUDY_TEST_ENGINE_PYTHON"] or ROOT / ".env" / "engine" / "bin" / "python")

pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason=f"the engine is not installed at {PYTHON} (UNDERSTUDY_ENGINE_PYTHON)"
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The folder of files, and what the engine sees in each (`found_clips`)."""
    folder = tmp_path_factory.mktemp("found")
    program = Path(__file__).with_name("found_clips.py")
    made = subprocess.run([PYTHON, program, folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder, json.loads(made.stdout)


@pytest.mark.parametrize(
    ("name", "looked"),
    [
        ("gap.mp4", [31, 5, 9, 10, 15, 19, 20, 39]),
        ("gap-b-frames.mkv", [31, 9, 10, 19, 20, 39]),
        ("every-third-missing.mkv", [30, 0, 1, 2, 3, 4, 20, 38]),
        ("held-before-its-end.mp4", [5, 29, 30, 38, 39]),
        ("ntsc.mkv", [1, 2, 20, 38]),
        ("film.mkv", [1, 2, 20, 38]),
        ("sound-longer.mkv", [1, 38, 39]),
        ("xvid-b-frames.avi", [30, 0, 1, 2, 3, 13, 39]),
        ("h264-b-frames.avi", [30, 0, 1, 2, 3, 13, 39]),
        ("h264.avi", [30, 0, 1, 2, 13, 39]),
        ("two-pictures.mkv", [30, 0, 1, 39]),
    ],
)
def test_the_engine_reads_what_blender_shows(scene, found, tmp_path, name, looked):
    folder, told = found
    strip = scene.sequence_editor.strips.new_movie("shot", str(folder / name), 1, 0)
    strip.stream_index = 1 if "two" in name else 0
    assert [told[name][frame] for frame in looked] == [footage.shown(scene, f, tmp_path)[0] for f in looked]


def test_a_turned_photograph_is_read_as_blender_shows_it(scene, found, tmp_path):
    folder, told = found
    scene.sequence_editor.strips.new_image("photograph", str(folder / "turned.jpg"), 1, 0)
    assert told["turned.jpg"] == [37] == [footage.shown(scene, 0, tmp_path)[0]]


def test_the_strips_stream_is_what_is_scanned(scene, found, engine, tick_until):
    strip = scene.sequence_editor.strips.new_movie("shot", str(found[0] / "two-pictures.mkv"), 1, 1)
    strip.stream_index = 1
    scene.sequence_editor.active_strip = strip
    scene.understudy.shot.strip_id = ""
    flow.mark_and_scan(scene, tick_until)
    first = scene.understudy.shot.scan.folder
    assert json.loads((Path(first) / "scan.json").read_text())["clip"]["stream"] == 1
    strip.stream_index = 0
    flow.mark_and_scan(scene, tick_until)
    assert scene.understudy.shot.scan.folder not in {"", first}
    assert bpy.ops.understudy.add_identity(scan=False) == {"FINISHED"}
    assert flow.material(scene).clip_stream == 0


@pytest.mark.parametrize("backward", [False, True])
def test_what_has_no_picture_is_left_out_of_the_range(addon, scene, found, engine, tick_until, backward):
    strip = scene.sequence_editor.strips.new_movie("shot", str(found[0] / "sound-longer.mkv"), 1, 10)
    strip.use_reverse_frames = backward
    counted = strip.frame_final_duration if bpy.app.version < (5, 1, 0) else strip.duration
    assert counted > 40
    engine.script(existing=40)
    scene.sequence_editor.active_strip = strip
    flow.mark_and_scan(scene, tick_until)
    shot = scene.understudy.shot
    assert (shot.source_start, shot.source_end) == (0, 40)
    held = counted - 40
    order = addon.operators.convert.order_of(scene)
    if backward:  # the last one is held where there is none
        assert (shot.start, shot.end) == (10, 10 + counted)
        assert order["frames"] == [39] * held + list(range(39, -1, -1))
    else:
        assert (shot.start, shot.end) == (10, 50) and order["order"] == "plain"
    bpy.ops.understudy.mark_range()  # what is known of the scan counts at once
    assert (shot.source_start, shot.source_end) == (0, 40) and shot.scan.folder


def test_only_files_are_the_pictures_of_a_folder(scene, clips, tmp_path):
    """As the engine counts them, whatever the folder is called."""
    folder = tmp_path / "shot.mkv"
    shutil.copytree(clips.pictures, folder)
    files = sorted(folder.iterdir())
    strip = scene.sequence_editor.strips.new_image("shot", str(files[0]), 1, 1)
    for file in files[1:]:
        strip.elements.append(file.name)
    (folder / "z.png").mkdir()
    scene.sequence_editor.active_strip = strip
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    assert scene.understudy.shot.source == str(folder)
