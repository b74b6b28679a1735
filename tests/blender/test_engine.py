"""The real engine, started by the add-on's own launcher: skipped, saying so, where it is not installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import flow
import numpy as np
import pytest
import sound
import test_timeline as timelines
import test_voice as voice

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ["UNDERSTUDY_TEST_ENGINE_PYTHON"] or ROOT / ".env" / "engine" / "bin" / "python")
NETWORKS = Path(os.environ.get("UNDERSTUDY_TEST_MODELS") or ROOT / ".understudy" / "models")
PORTRAIT = ROOT / ".build" / "footage" / "astronaut.png"

pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason=f"the engine is not installed at {PYTHON} (UNDERSTUDY_ENGINE_PYTHON)"
)


once = pytest.mark.skipif(
    bpy.app.version < (5, 2),
    reason="what the engine does here is the same under every Blender: tested under the newest",
)


@pytest.fixture
def real(addon, scene, tmp_path, monkeypatch, tick_until):
    """The engine with a home of its own that borrows the face networks; shut down afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    monkeypatch.setenv("UNDERSTUDY_ENGINE_PYTHON", str(PYTHON))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    if NETWORKS.is_dir():
        (home / "models").symlink_to(NETWORKS)
    yield home
    bpy.ops.understudy.stop_engine()
    tick_until(lambda: addon.jobs.engine.state == "stopped" and addon.http_client.read_address() is None)
    flow.restart_addon_connection(addon)


def projects(home: Path) -> list[Path]:
    """Whatever lies in the project folders of .blends that were never saved, but for what detectors saw of a file:
    the next scan of the same footage need not look again."""
    found = [f for f in (home / "unsaved").rglob("*") if f.is_file()]
    return [file for file in found if ".observed" not in file.parts]


def test_starts_answers_and_stops(addon, real, tick_until):
    assert bpy.ops.understudy.start_engine() == {"FINISHED"}
    tick_until(lambda: addon.jobs.engine.state in {"ready", "failed"}, 60)
    assert addon.jobs.engine.error == ""
    assert addon.jobs.engine.version and addon.http_client.read_address().token


def test_the_panel_says_of_footage_what_the_doctor_says(addon, scene, clips, real, tick_until, tmp_path):
    flow.add_shot(scene, clips)
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    tick_until(lambda: addon.known_footage.of(scene.understudy.shot), 60)
    told = [f"{one.kind}: {one.text}" for one in addon.known_footage.of(scene.understudy.shot)]
    command = [PYTHON, "-m", "understudy.engine", "doctor", "--footage", clips.movie, "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout.splitlines()[-1]
    assert told == [f"{one['kind']}: {one['text']}" for one in json.loads(answer)["findings"]]
    assert any("is a movie of 48 frames at 24 a second" in text for text in told) and not scene.understudy.jobs


def test_footage_without_a_face_is_said_and_leaves_nothing(scene, clips, real, tick_until):
    flow.add_shot(scene, clips)
    bpy.ops.understudy.mark_range()
    bpy.ops.understudy.scan_shot()
    tick_until(lambda: flow.idle(scene), 90)
    assert "ace" in scene.understudy.error and scene.understudy.error.endswith((".", "!"))
    assert len(scene.understudy.shot.scan.people) == 0
    assert [strip.name for strip in scene.sequence_editor.strips] == ["shot"]
    assert projects(real) == []


def test_a_damaged_shot_is_said_and_leaves_nothing(scene, clips, real, tick_until, tmp_path):
    """Blender read it when it was marked; it is damaged since."""
    movie = tmp_path / "shot.mp4"
    shutil.copy(clips.movie, movie)
    flow.add_shot(scene, SimpleNamespace(movie=movie))
    assert bpy.ops.understudy.mark_range() == {"FINISHED"}
    movie.write_bytes(movie.read_bytes()[:2000])
    assert bpy.ops.understudy.scan_shot() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene), 90)
    assert "shot.mp4" in scene.understudy.error and scene.understudy.error.endswith(".")
    assert scene.understudy.jobs[-1].state == "failed" and scene.understudy.shot.scan.folder == ""
    assert [strip.name for strip in scene.sequence_editor.strips] == ["shot"]
    assert projects(real) == []


@once
def test_a_damaged_movie_of_a_face_is_said_and_leaves_nothing(scene, clips, real, tick_until, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clips.movie.read_bytes()[:2000])
    assert bpy.ops.understudy.add_identity_file(filepath=str(broken)) == {"FINISHED"}
    tick_until(lambda: flow.idle(scene), 90)
    assert "broken.mp4" in scene.understudy.error and scene.understudy.jobs[-1].state == "failed"
    assert scene.understudy.identities[0].materials[0].scan.folder == "" and len(scene.sequence_editor.strips) == 0
    assert projects(real) == []


def test_a_draft_of_real_people(addon, scene, real, tick_until, tmp_path):
    """A portrait recast with itself: the whole way through the real engine, without training. No operator and no
    tick may take longer than an interface can afford."""
    if not (PORTRAIT.is_file() and NETWORKS.is_dir()):
        pytest.skip(f"needs {PORTRAIT} and the face networks in {NETWORKS}: `make footage models` fetches them")
    ticks: list[float] = []
    clock: list[float] = []

    def until_idle():
        def once():
            began, worked = time.perf_counter(), time.thread_time()
            addon.jobs.tick()
            ticks.append(time.thread_time() - worked)  # on a busy machine the clock measures the others
            clock.append(time.perf_counter() - began)
            return flow.idle(scene)

        tick_until(once, 150)
        assert scene.understudy.error == ""

    strip = scene.sequence_editor.strips.new_image("portrait", str(PORTRAIT), 1, 10)
    addon.compat.set_span(strip, 10, 34)
    scene.sequence_editor.active_strip = strip
    bpy.ops.understudy.mark_range()
    bpy.ops.understudy.scan_shot()
    bpy.ops.understudy.add_identity()
    until_idle()
    state = scene.understudy
    assert len(state.shot.scan.people) == 1
    assert addon.people_store.amount_in_words(state.identities[0]).startswith("1 frame, no left profiles")
    state.shot.scan.people[0].name = "Eileen"  # told to the engine, and known in the project from now on
    until_idle()
    assert state.shot.scan.people[0].known
    flow.agree(scene, tick_until)
    known = addon.consent_records.records(addon.project.folder(state))
    assert set(known) == {state.swaps[0].identity, state.swaps[0].target}

    frame = first_preview(addon, scene, tick_until)
    assert frame.error == "" and frame.steps == 0
    image = bpy.data.images[frame.image]
    assert tuple(image.size) == (512, 512)
    print(f"the first preview took {frame.seconds:.2f} s")
    addon.preview.forget()

    bpy.ops.understudy.convert(draft=True)
    until_idle()
    (placed,) = flow.placed(scene)
    assert addon.compat.span(placed) == (10, 34) and placed.channel == 2
    assert Path(bpy.path.abspath(placed.filepath)).is_file()
    ordinary = sorted(ticks)[int(len(ticks) * 0.99) - 1]
    print(f"{len(ticks)} ticks, p99 {ordinary * 1000:.2f} ms, longest (places the strip) {max(ticks) * 1000:.1f} ms, "
          f"by the clock {max(clock) * 1000:.1f} ms")  # fmt: skip
    assert ordinary < 0.004 and max(ticks) < 0.05


def first_preview(addon, scene, tick_until):
    """What the overlay would draw on the playhead's frame."""
    view, found = bpy.context.window_manager.understudy, []
    view.show = True
    scene.frame_set(20)
    region = SimpleNamespace(view2d=SimpleNamespace(view_to_region=lambda x, y, clip: (x, y)))

    def came():
        addon.preview.tick()
        found[:] = [addon.overlay.frame_to_show(view, addon.preview.here(scene), region)]
        return found[0] is not None

    tick_until(came, 120)
    view.show = False
    return found[0]


@once
def test_another_machines_engine_works_through_a_wire_that_breaks(addon, scene, real, tick_until, tmp_path):
    """A portrait is found by an engine with a home of its own, whose tunnel is cut meanwhile."""
    if not (PORTRAIT.is_file() and NETWORKS.is_dir()):
        pytest.skip(f"needs {PORTRAIT} and the face networks in {NETWORKS}: `make footage models` fetches them")
    there, token = tmp_path / "there", tmp_path / "token"
    there.mkdir()
    (there / "models").symlink_to(NETWORKS)
    far = subprocess.Popen(
        [PYTHON, "-m", "understudy.engine", "serve", "--token-file", token],
        env={**os.environ, "UNDERSTUDY_HOME": str(there)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    tick_until((there / "engine.json").is_file, 60)
    port = json.loads((there / "engine.json").read_text())["url"].rpartition(":")[2]
    wire = subprocess.Popen(
        [PYTHON, ROOT / "tests" / "service" / "wire.py", port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def tell(word):
        wire.stdin.write(f"{word}\n")
        wire.stdin.flush()
        assert wire.stdout.readline() == "done\n"

    preferences = addon.user_preferences.preferences()
    try:
        preferences.remote_address, preferences.remote_token_file = wire.stdout.readline().strip(), str(token)
        assert bpy.ops.understudy.use_remote() == {"FINISHED"}
        tick_until(lambda: addon.jobs.engine.remote, 60)
        strip = scene.sequence_editor.strips.new_image("portrait", str(PORTRAIT), 1, 10)
        scene.sequence_editor.active_strip = strip
        bpy.ops.understudy.mark_range()
        tell("cut")
        bpy.ops.understudy.scan_shot()
        tick_until(lambda: "does not answer" in scene.understudy.jobs[0].message, 60)
        tick_until(lambda: addon.jobs.engine.remote.state == "away", 60)
        tell("mend")
        tick_until(lambda: flow.idle(scene), 120)
        assert scene.understudy.error == "" and len(scene.understudy.shot.scan.people) == 1
        tick_until(lambda: addon.jobs.engine.remote.state == "ready" and addon.jobs.engine.remote.host, 20)
        assert len(list((there / "mirrors").glob("*/scans/*/scan.json"))) == 1
        assert bpy.ops.understudy.use_this_computer() == {"FINISHED"}
        tick_until(lambda: addon.jobs.engine.remote is None, 60)
    finally:
        preferences.remote_address = preferences.remote_token_file = ""
        wire.communicate()  # there is no more
        far.kill()
        far.wait()


def voices(folder: Path) -> tuple[Path, Path]:
    """A man who speaks for 6 s between two seconds of strings each, in stereo, and 12 s of a woman."""
    code = (
        "import sys, numpy as np; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import sounds\n"
        "folder = Path(sys.argv[2]); man = sounds.voice(6, 48000, pitch=110, seed=5)[0]\n"
        "mix = sounds.accompaniment(10, 48000) * 0.2; mix[96000:384000] += man\n"
        "sounds.write(folder / 'song.wav', np.stack([mix, 0.5 * mix]), 48000)\n"
        "sounds.write(folder / 'ann.wav', sounds.voice(12, 44100, throat=1.2, pitch=190, seed=3)[0], 44100)\n"
    )
    subprocess.run([PYTHON, "-c", code, ROOT / "tests" / "voice", folder], check=True)
    return folder / "song.wav", folder / "ann.wav"


def test_a_draft_of_a_voice(addon, scene, real, tick_until, tmp_path):
    """The whole way through the real engine, without training: in sync, and the same sound outside the range."""
    lacking = [n for n in ("separator", "pitch", "content", "speaker") if not (NETWORKS / f"{n}.safetensors").is_file()]
    if lacking:
        pytest.skip(f"needs the voice networks in {NETWORKS}: `make models` fetches them")
    song, ann = voices(tmp_path)
    strip = scene.sequence_editor.strips.new_sound("song", str(song), 2, 1)
    addon.compat.set_span(strip, 13, 229)  # seconds 0.5 to 9.5
    scene.sequence_editor.active_strip = strip
    scene.frame_start, scene.frame_end = 1, 240
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 61, 180
    assert bpy.ops.understudy.mark_sound(by="PREVIEW") == {"FINISHED"}  # seconds 2.5 to 7.5
    assert bpy.ops.understudy.add_voice_file(filepath=str(ann)) == {"FINISHED"}
    before = sound.mixed(tmp_path / "before.wav").astype(int)
    voice.agree(addon, scene, tick_until)
    assert bpy.ops.understudy.voice_draft() == {"FINISHED"}
    tick_until(lambda: flow.idle(scene), 240)
    assert scene.understudy.error == ""
    told = [line for log in real.rglob("events.jsonl") for line in log.read_text(encoding="utf-8").splitlines()]
    assert any((json.loads(line).get("data") or {}).get("seconds_left") for line in told)
    (placed,) = addon.voice_placing.placed(scene)
    assert addon.compat.span(placed) == (13, 229) and strip.mute and not placed.mute
    assert "usable" in addon.voice_steps.chosen(scene.understudy).described
    assert Path(scene.understudy.jobs[-1].preview).is_file()
    after = sound.mixed(tmp_path / "after.wav").astype(int)
    changed = np.flatnonzero(np.abs(after - before).max(1) > 8)
    assert changed[0] / sound.RATE > 2.4 and changed[-1] / sound.RATE < 7.6
    assert len(changed) > sound.RATE * 2  # most of five seconds
    assert np.array_equal(after[: 2 * sound.RATE], before[: 2 * sound.RATE])


@once
def test_a_range_in_which_nobody_speaks_is_said_at_the_voice(addon, scene, real, tick_until, tmp_path):
    if not (NETWORKS / "separator.safetensors").is_file():
        pytest.skip(f"needs the voice networks in {NETWORKS}: `make models` fetches them")
    song, ann = voices(tmp_path)
    scene.sequence_editor.active_strip = scene.sequence_editor.strips.new_sound("song", str(song), 2, 1)
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 205, 235
    bpy.ops.understudy.mark_sound(by="PREVIEW")  # strings alone
    bpy.ops.understudy.add_voice_file(filepath=str(ann))
    voice.agree(addon, scene, tick_until)
    bpy.ops.understudy.voice_draft()
    tick_until(lambda: flow.idle(scene), 240)
    state = scene.understudy
    assert "between the frames 205 and 235" in state.error and addon.failures.place(state) == "voice"
    assert [one.name for one in scene.sequence_editor.strips] == ["song"]
    assert not list((addon.project.folder(state) / "recasts").glob("*"))


LATE = """
import sys, av, numpy as np
from fractions import Fraction
from pathlib import Path
from understudy.engine.media.waveform import SoundWriter, probe_sound, read_spans
movie, sound, rate, begin = Path(sys.argv[1]), Path(sys.argv[2]), 48000, 6240
noise = np.convolve(np.random.default_rng(1).standard_normal(4 * rate - begin), np.hanning(8) / 16, "same")
with av.open(str(movie), "w") as container:
    picture, track = container.add_stream("libx264", rate=24), container.add_stream("aac", rate=rate)
    picture.width, picture.height, picture.pix_fmt, track.layout = 64, 64, "yuv420p", "mono"
    for number in range(96):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 24)
        container.mux(picture.encode(frame))
    for at in range(0, len(noise), 1024):
        frame = av.AudioFrame.from_ndarray(noise[None, at : at + 1024].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at + begin, Fraction(1, rate)
        container.mux(track.encode(frame))
    container.mux(picture.encode(None))
    container.mux(track.encode(None))
info = probe_sound(movie)
with SoundWriter(sound, info) as writer:
    for samples in read_spans(info, [(0, info.samples)]):
        writer.write(samples)
"""


def test_sound_that_begins_between_two_frames_stays_in_sync(addon, scene, tmp_path):
    """A movie's sound may begin where no frame does, which Blender keeps where Python does not see it: all of its
    track, as the engine writes it, sounds at the same time."""
    movie, track = tmp_path / "late.mp4", tmp_path / "late.wav"
    subprocess.run([PYTHON, "-c", LATE, movie, track], check=True)
    still = {"move_strips": False} if bpy.app.version >= (5, 0, 0) else {}  # else Blender 5 ends without a window
    with timelines.sequencer_context():
        bpy.ops.sequencer.movie_strip_add(filepath=str(movie), frame_start=10, channel=1, **still)
    source = next(strip for strip in scene.sequence_editor.strips if strip.type == "SOUND")
    assert addon.sound_strips.sound_of(scene, next(s for s in scene.sequence_editor.strips if s != source)) == source
    scene.frame_start, scene.frame_end = 1, 120
    before = sound.mixed(tmp_path / "before.wav")[:, 0].astype(float)
    marked = addon.sound_strips.mark(scene, source, None)
    about = {
        "strip_id": addon.strip_media.remember(source), "strip_name": source.name, "source_start": marked.source_start,
        "identity_name": "Ann", "quality": "draft", "job": "1",
    }  # fmt: skip
    placed = addon.voice_placing.place(scene, str(track), about)
    assert addon.compat.span(placed) == addon.compat.span(source) and source.mute
    after = sound.mixed(tmp_path / "after.wav")[:, 0].astype(float)
    part = slice(2 * sound.RATE, 3 * sound.RATE)
    alike = [np.corrcoef(before[part], np.roll(after, shift)[part])[0, 1] for shift in range(-1200, 1201)]
    assert int(np.argmax(alike)) == 1200 and max(alike) > 0.95
