"""A voice recast from file to file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sounds
from understudy.engine import job_bodies
from understudy.engine.errors import DataError, MediaError, NoVoiceError, Stopped, UnderstudyError
from understudy.engine.media.waveform import probe_sound, read_spans, resample, to_float
from understudy.engine.protocol import ConsentRecord, ForgetSpec, SoundClip, VoiceSettings, VoiceSpec, VoiceTrainSpec
from understudy.engine.provenance.begun import all_begun
from understudy.engine.provenance.consent import record_consent
from understudy.engine.reporter import Silent
from understudy.engine.voice.material import read_card
from understudy.engine.voice.pitch import find_pitch
from understudy.engine.voice.recast import recast_voice
from understudy.engine.voice.speaker import embed
from understudy.engine.voice.stems import separate_file
from understudy.engine.voice.train import train_voice

pytestmark = pytest.mark.usefixtures("networks")


def samples_of(path: Path) -> np.ndarray:
    """(n, channels) as the file has them."""
    info = probe_sound(path)
    (samples,) = read_spans(info, [(0, info.samples)])
    return samples


def film(path: Path, seconds: float, rate: int, sample: str = "s16", channels: int = 1, **kind: Any) -> Path:
    """Bob over an orchestra at −10 dB, the voice in the middle, the orchestra a little to the left."""
    bob, _ = sounds.voice(seconds, rate, **kind)
    back = 0.3 * sounds.accompaniment(seconds, rate)
    mix = (bob + back)[None] if channels == 1 else np.stack([bob + back, bob + 0.6 * back])
    return sounds.write(path, mix * 0.7, rate, sample)


def spec_of(
    sound: Path, voice: Path, output: Path, clip: tuple[float, float | None] = (0.0, None), **settings: Any
) -> VoiceSpec:
    return VoiceSpec(
        clip=SoundClip(path=str(sound), start=clip[0], end=clip[1]),
        voice=str(voice),
        output=str(output),
        target="Bob",
        identity="Ann",
        settings=VoiceSettings(**settings),
    )


@pytest.mark.parametrize(
    ("rate", "sample", "channels"), [(44100, "s16", 2), (48000, "s24", 1), (96000, "flt", 2), (22050, "s16", 1)]
)
def test_outside_the_range_every_bit_stays(
    anns_voice: Path, tmp_path: Path, rate: int, sample: str, channels: int
) -> None:
    source = film(tmp_path / "film.wav", 6.3, rate, sample, channels)
    made = recast_voice(spec_of(source, anns_voice, tmp_path / "out.wav", (2.0, 4.5)), Silent())
    before, after = samples_of(source), samples_of(tmp_path / "out.wav")
    assert before.shape == after.shape and before.dtype == after.dtype
    assert (made["samples"], made["rate"], made["channels"]) == (len(before), rate, channels)
    assert np.array_equal(before[: 2 * rate], after[: 2 * rate])
    assert np.array_equal(before[round(4.5 * rate) :], after[round(4.5 * rate) :])
    inside = slice(2 * rate, round(4.5 * rate))
    changed = np.mean((before[inside] - after[inside].astype(float)) ** 2) / np.mean(before[inside].astype(float) ** 2)
    assert changed > 0.003
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("excitation", ["filter", "synth"])
def test_the_new_voice_is_in_sync_and_in_tune(anns_voice: Path, tmp_path: Path, excitation: Any) -> None:
    rate = 44100
    bob, f0 = sounds.voice(9, rate, sung=True, pitch=180)
    source = sounds.write(tmp_path / "bob.wav", bob, rate)
    spec = spec_of(source, anns_voice, tmp_path / "out.wav", excitation=excitation, octave=0, semitones=0)
    recast_voice(spec, Silent())
    out = to_float(samples_of(tmp_path / "out.wav"))[0]
    found = find_pitch(resample(out, rate, 16000))
    truth = f0[::441][: len(found)]
    both = (found[: len(truth)] > 0) & (truth > 0)
    cents = np.abs(1200 * np.log2(found[: len(truth)][both] / truth[both]))
    assert (cents < 50).mean() > 0.98
    before = find_pitch(resample(bob, rate, 16000))[: len(truth)]  # the tracker's own error is taken out
    assert np.median(np.abs(1200 * np.log2(found[: len(truth)][both] / np.maximum(before[both], 1)))) < 10
    window = np.hanning(64)
    course = [np.convolve(np.abs(part), window, "same") for part in (bob, out)]
    course = [part - part.mean() for part in course]
    spectrum = np.fft.rfft(course[1], 2 * len(bob)) * np.conj(np.fft.rfft(course[0], 2 * len(bob)))
    lag = int(np.fft.irfft(spectrum).argmax())
    assert min(lag, 2 * len(bob) - lag) <= 12  # samples, 0.3 ms: the formants' own delay differs


def test_an_octave_is_an_octave(anns_voice: Path, tmp_path: Path) -> None:
    bob, f0 = sounds.voice(6, 48000, sung=True, pitch=110)
    source = sounds.write(tmp_path / "bob.wav", bob, 48000)
    made = recast_voice(spec_of(source, anns_voice, tmp_path / "out.wav", octave=1), Silent())
    assert (made["octave"], made["excitation"]) == (1, "synth")
    found = find_pitch(resample(to_float(samples_of(tmp_path / "out.wav"))[0], 48000, 16000))
    truth = 2 * f0[::480][: len(found)]
    both = (found[: len(truth)] > 0) & (truth > 0)
    assert (np.abs(1200 * np.log2(found[: len(truth)][both] / truth[both])) < 50).mean() > 0.95


def test_somebody_recast_as_themself_stays_themself(anns_voice: Path, tmp_path: Path) -> None:
    sound, _ = sounds.voice(8, 16000, throat=1.2, pitch=190, seed=8)
    source = sounds.write(tmp_path / "ann2.wav", sound, 16000)
    recast_voice(spec_of(source, anns_voice, tmp_path / "out.wav"), Silent())
    out = to_float(samples_of(tmp_path / "out.wav"))[0]
    assert embed(out) @ embed(sound) > 0.8


def test_a_recast_comes_nearer_to_the_voice(anns_voice: Path, tmp_path: Path) -> None:
    bob, _ = sounds.voice(8, 16000, pitch=120, seed=5)
    source = sounds.write(tmp_path / "bob.wav", bob, 16000)
    recast_voice(spec_of(source, anns_voice, tmp_path / "out.wav", excitation="synth"), Silent())
    out = to_float(samples_of(tmp_path / "out.wav"))[0]
    ann = np.array(read_card(anns_voice).embedding)
    assert embed(out) @ ann > embed(bob) @ ann + 0.05


class StopAfter(Silent):
    """Asks to stop at the n-th safe point."""

    def __init__(self, points: int) -> None:
        self.left = points

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stopped("enough")


def test_what_cannot_be_signed_leaves_the_earlier_recast(anns_voice: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "film.wav", 6, 16000)
    spec, output = spec_of(source, anns_voice, tmp_path / "out.wav"), tmp_path / "out.wav"
    recast_voice(spec, Silent())
    before = output.read_bytes()

    def refuse(facts: dict[str, Any], made: Mapping[Path, Path]) -> dict[Path, Path]:
        assert facts["samples"] == 6 * 16000 and made[output].is_file() and made[output] != output
        raise MediaError("it cannot be signed")

    with pytest.raises(MediaError, match="signed"):
        recast_voice(replace(spec, settings=replace(spec.settings, semitones=3.0)), Silent(), certify=refuse)
    assert output.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.wav", "out.wav"]


def test_resumed_equals_uninterrupted(anns_voice: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "film.wav", 36, 16000)
    recast_voice(spec_of(source, anns_voice, tmp_path / "whole.wav"), Silent())
    spec = spec_of(source, anns_voice, tmp_path / "resumed.wav")
    for points in (2, 5):  # in the first pass, then in the second
        with pytest.raises(Stopped):
            recast_voice(spec, StopAfter(points))
        assert not (tmp_path / "resumed.wav").exists()
        assert list((tmp_path / "resumed.wav.part").glob("voice-*"))
    recast_voice(spec, Silent())
    assert np.array_equal(samples_of(tmp_path / "whole.wav"), samples_of(tmp_path / "resumed.wav"))


def test_what_a_stopped_recast_holds_of_the_replaced_voice_is_forgotten(anns_voice: Path, tmp_path: Path) -> None:
    source, project = film(tmp_path / "film.wav", 36, 16000), tmp_path / "work"
    for person in ("Ann", "Bob"):
        agreed = ConsentRecord(
            identity=person, person=person, basis="test footage", scope="tests", date="2026-01-01", subject="voice"
        )
        record_consent(project, agreed)
    output = tmp_path / "out" / "bob.wav"
    spec = replace(spec_of(source, anns_voice, output), project=str(project))
    for _ in range(2):  # stopped, and taken up again
        with pytest.raises(Stopped):
            job_bodies.run("voice", spec, StopAfter(2))
        assert list(output.with_name("bob.wav.part").glob("voice-*"))
    assert [one.identities for _, one in all_begun(project)] == [["Ann", "Bob"]]
    result = job_bodies.run("forget", ForgetSpec(project=str(project), identity="Bob"), Silent())
    assert str(output.with_name("bob.wav.part")) in result["removed"] and result["left"] == []
    assert list(output.parent.iterdir()) == [] and all_begun(project) == []


def test_a_short_clip_is_cut_from_the_same_pieces(anns_voice: Path, tmp_path: Path) -> None:
    """Pieces have no seams: where two of them meet, nothing jumps."""
    source = film(tmp_path / "film.wav", 20, 16000)
    recast_voice(
        spec_of(source, anns_voice, tmp_path / "out.wav", stem=True, mark=False, mark_reason="a test"), Silent()
    )
    stem = to_float(samples_of(tmp_path / "out.wav"))[0]
    jumps = np.abs(np.diff(stem))
    border = 16 * 16000
    assert jumps[border - 1000 : border + 1000].max() <= jumps.max() * 0.9 + 1e-3


def test_the_stem_is_the_voice_alone(anns_voice: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "film.wav", 6, 44100, channels=2)
    recast_voice(spec_of(source, anns_voice, tmp_path / "stem.wav", (1.0, 5.0), stem=True), Silent())
    stem = samples_of(tmp_path / "stem.wav")
    assert stem.shape == samples_of(source).shape
    assert not stem[:44100].any() and not stem[5 * 44100 :].any() and stem[44100 : 5 * 44100].any()


@pytest.mark.parametrize(("sample", "suffix"), [("s16", ".wav"), ("s24", ".flac"), ("flt", ".wav")])
def test_voice_and_rest_sum_to_the_sound(tmp_path: Path, sample: str, suffix: str) -> None:
    source = film(tmp_path / "film.wav", 18, 22050, sample, 2)
    outputs = tmp_path / f"voice{suffix}", tmp_path / f"rest{suffix}"
    separate_file(SoundClip(path=str(source)), *outputs, Silent())
    voice, rest, mix = (samples_of(path).astype(np.float64) for path in (*outputs, source))
    assert np.abs(voice + rest - mix).max() <= (6e-8 if sample == "flt" else 0)
    assert np.square(voice).mean() > 0.3 * np.square(rest).mean()


def test_surround_keeps_all_but_its_centre(anns_voice: Path, tmp_path: Path) -> None:
    bob = sounds.voice(5, 48000)[0]
    rows = np.stack([0.2 * sounds.accompaniment(5, 48000) * (n + 1) / 6 for n in range(6)])
    rows[2] = bob * 0.8
    source = sounds.write(tmp_path / "film.wav", rows, 48000)
    recast_voice(spec_of(source, anns_voice, tmp_path / "out.wav"), Silent())
    before, after = samples_of(source), samples_of(tmp_path / "out.wav")
    assert before.shape == after.shape == (5 * 48000, 6)
    for channel in range(6):
        assert np.array_equal(before[:, channel], after[:, channel]) == (channel != 2)


def test_a_movie_keeps_its_picture(anns_voice: Path, tmp_path: Path, make_clip: Any) -> None:
    import av

    bob, _ = sounds.voice(4, 48000)
    movie = make_clip(tmp_path / "film.mp4", 96, sound=np.stack([bob, bob]), sound_rate=48000)
    recast_voice(spec_of(movie, anns_voice, tmp_path / "out.mp4"), Silent())

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(container.streams.video[0]) if p.size]

    assert packets(movie) == packets(tmp_path / "out.mp4")
    before, after = probe_sound(movie), probe_sound(tmp_path / "out.mp4")
    assert (before.rate, before.channels) == (after.rate, after.channels)
    assert abs(before.samples - after.samples) < 1024 and before.first == pytest.approx(after.first, abs=1e-3)


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".m4a"])
def test_other_formats_hold_the_same_sound(anns_voice: Path, tmp_path: Path, suffix: str) -> None:
    source = film(tmp_path / "film.wav", 4, 44100, channels=2)
    for output in (tmp_path / "out.wav", tmp_path / f"out{suffix}"):
        recast_voice(spec_of(source, anns_voice, output), Silent())
    wav, other = (to_float(samples_of(tmp_path / f"out{kind}")) for kind in (".wav", suffix))
    count = min(wav.shape[1], other.shape[1])
    assert abs(wav.shape[1] - other.shape[1]) < 2400
    assert np.mean((wav - other[:, :count] if suffix == ".flac" else wav[:, :count] - other[:, :count]) ** 2) < 2e-4


def test_what_cannot_be_done_is_said(anns_voice: Path, tmp_path: Path, ann: Path) -> None:
    silent = sounds.write(tmp_path / "silent.wav", np.zeros(44100 * 3, np.float32), 44100)
    music = sounds.write(tmp_path / "music.wav", sounds.accompaniment(6, 44100), 44100)
    cases = [
        (spec_of(silent, anns_voice, tmp_path / "a.wav"), NoVoiceError, "Nobody"),
        (spec_of(music, anns_voice, tmp_path / "a.wav"), NoVoiceError, "music"),
        (spec_of(ann, anns_voice, tmp_path / "a.wav", (13.0, 14.0)), MediaError, "outside"),
        (spec_of(ann, anns_voice, tmp_path / "a.mp4"), MediaError, "picture"),
        (spec_of(ann, anns_voice, tmp_path / "a.txt"), MediaError, ".wav"),
        (spec_of(ann, anns_voice, ann), MediaError, "itself"),
        (spec_of(tmp_path / "none.wav", anns_voice, tmp_path / "a.wav"), MediaError, "not there"),
        (spec_of(ann, tmp_path, tmp_path / "a.wav"), DataError, "no voice"),
        (spec_of(ann, anns_voice, tmp_path / "a.wav", octave=1, excitation="filter"), UnderstudyError, "pitch"),
    ]
    for spec, kind, word in cases:
        with pytest.raises(kind, match=word):
            recast_voice(spec, Silent())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["music.wav", "silent.wav"]


def test_bad_material_is_refused(networks: None, tmp_path: Path) -> None:
    bob, _ = sounds.voice(6, 44100)
    narrow = resample(resample(bob, 44100, 8000), 8000, 44100)[: len(bob)]
    wrong = {
        "Nobody": np.zeros(44100 * 4, np.float32),
        "voice in them": sounds.accompaniment(5, 44100),
        "telephones": narrow,
        "clipped": np.clip(bob * 60, -1, 1),
        "needed": bob[:44100],
    }
    for number, (word, sound) in enumerate(wrong.items()):
        source = sounds.write(tmp_path / f"{number}.wav", sound, 44100)
        spec = VoiceTrainSpec(
            identity="A", material=[SoundClip(path=str(source))], output=str(tmp_path / "v"), minutes=0
        )
        with pytest.raises(NoVoiceError, match=word):
            train_voice(spec, Silent())
        assert not (tmp_path / "v").exists()
    other = tmp_path / "mine"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    good = VoiceTrainSpec(
        identity="A",
        material=[SoundClip(path=str(sounds.write(tmp_path / "bob.wav", bob, 44100)))],
        output=str(other),
        minutes=0,
    )
    with pytest.raises(DataError, match="no voice"):
        train_voice(good, Silent())
    train_voice(replace(good, output=str(tmp_path / "v")), Silent())
    assert read_card(tmp_path / "v").described.startswith(("5 s", "6 s"))


def test_a_trained_voice_is_repeatable_and_heard(networks: None, ann: Path, tmp_path: Path) -> None:
    """Training lowers its loss from the base network on, gives the same twice, and its network is what recasts."""
    from understudy.engine.voice.material import NETWORK

    class Losses(Silent):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def loss(self, step: int, values: dict[str, float]) -> None:
            self.seen.append(values["envelope"])

    heard, outputs = Losses(), []
    for name in ("one", "two"):
        spec = VoiceTrainSpec(
            identity="Ann", material=[SoundClip(path=str(ann))], output=str(tmp_path / name), minutes=0.1
        )
        assert train_voice(spec, heard)["steps"] == 12
        outputs.append((tmp_path / name / NETWORK).read_bytes())
    assert outputs[0] == outputs[1]
    assert heard.seen[5] < 0.9 * heard.seen[0]
    bob = sounds.write(tmp_path / "bob.wav", sounds.voice(4, 16000, seed=5)[0], 16000)
    spec = spec_of(bob, tmp_path / "one", tmp_path / "refined.wav", excitation="synth")
    recast_voice(spec, Silent())
    recast_voice(replace(spec, output=str(tmp_path / "draft.wav"), draft=True), Silent())
    assert not np.array_equal(samples_of(tmp_path / "refined.wav"), samples_of(tmp_path / "draft.wav"))
