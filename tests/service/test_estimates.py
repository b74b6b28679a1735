"""The time left that a job tells gets better with every job of its kind that was done before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import av
import pytest
from understudy.engine.faces.networks import weights
from understudy.engine.protocol import SoundClip, TrainSpec, VoiceSpec, VoiceTrainSpec
from understudy.engine.service import rates
from understudy.engine.service.recorder import Estimate

from .harness import Engine, wait_until

LONG_ENOUGH = 3.0  # seconds of a scan whose time left is worth telling


def told(estimate: Estimate, stages: list[tuple[float, float]], step: float = 0.5) -> tuple[list[float], list[Any]]:
    """A job whose stages end at a fraction each and take seconds: the true time left, and what is told, as it goes."""
    whole, now, fraction, left, said = sum(s for _, s in stages), 0.0, 0.0, [], []
    begun = 0.0
    for end, seconds in stages:
        while now < begun + seconds - 1e-9:
            left.append(whole - now)
            said.append(estimate.seconds_left(1000 + now, fraction))
            now += step
            fraction += (end - fraction) * step / max(begun + seconds - now + step, step)
        begun += seconds
    said.append(estimate.seconds_left(1000 + now, 1.0))
    return left, said[:-1]


def error(left: list[float], said: list[Any]) -> float:
    """The mean difference as a share of the whole time; nothing said counts as no time left."""
    return fmean(abs(true - (guess or 0.0)) for true, guess in zip(left, said, strict=True)) / left[0]


def test_what_a_job_took_makes_the_next_ones_estimates_better(tmp_path: Path) -> None:
    # half of the fraction takes an eighth of the time
    def stages(units: int) -> list[tuple[float, float]]:
        return [(0.5, units * 0.1), (1.0, units * 0.7)]

    errors, first = [], []
    for units in (100, 60, 150, 90):
        estimate = Estimate(rates.read_rate(tmp_path, "scan//cpu"), units)
        left, said = told(estimate, stages(units))
        errors.append(error(left, said))
        first.append(said[0])
        rates.record_rate(tmp_path, "scan//cpu", units, estimate.whole)
    assert errors[0] > 0.1 and first[0] is None
    assert all(one < 0.02 for one in errors[1:]), errors
    assert first[1:] == pytest.approx([0.8 * 60, 0.8 * 150, 0.8 * 90], rel=0.02)


def test_a_machine_that_is_busier_than_last_time_is_noticed(tmp_path: Path) -> None:
    estimate = Estimate()
    told(estimate, [(1.0, 50.0)])
    rates.record_rate(tmp_path, "k", 100, estimate.whole)
    _, said = told(Estimate(rates.read_rate(tmp_path, "k"), 100), [(1.0, 200.0)])
    assert said[0] == pytest.approx(50, rel=0.02) and said[len(said) // 2] == pytest.approx(100, rel=0.05)


def test_a_training_of_ten_minutes_has_ten_minutes_left(tmp_path: Path) -> None:
    """Whatever trainings before it did: one converged after two minutes, one was taken up again at its half."""
    spec = TrainSpec(identities=[], output="", minutes=10.0)
    assert (rates.units_of(spec), rates.least_seconds(spec)) == (10.0, 60.0)
    first = Estimate(rates.even_rate(60.0), 10.0)
    steps = [(1000.0, 0.0), (1020.0, 0.001), (1021.0, 0.01), (1030.0, 0.03), (1036.0, 0.04), (1042.0, 0.05)]
    assert all(520 < first.seconds_left(*step) < 660 for step in steps)  # not 2 minutes, nor 72
    again = Estimate()
    for now, fraction in ((1000.0, 0.0), (1010.0, 0.5)):  # a leap is no pace
        assert again.seconds_left(now, fraction) is None
    assert again.seconds_left(1010.5, 0.501) == pytest.approx(0.499 / 0.001 * 0.5)
    converged, whole = Estimate(), Estimate()
    told(converged, [(1.0, 120.0)])
    told(whole, [(0.001, 20.0), (1.0, 600.0)])
    taken_up = [(0.0, 0.0), *((10.0 + second, 0.5 + second / 600) for second in range(301))]
    for rises, learned in ((converged.whole, False), (taken_up, False), (whole.whole, True)):
        rates.record_rate(tmp_path, "train", 10.0, rises, 60.0)
        assert (rates.read_rate(tmp_path, "train", 60.0) is not None) == learned
    next_one = Estimate(rates.read_rate(tmp_path, "train", 60.0), 10.0)
    assert next_one.seconds_left(0.0, 0.0) == pytest.approx(620, rel=0.02)
    half = Estimate(rates.read_rate(tmp_path, "train", 60.0), 10.0)
    assert half.seconds_left(0.0, 0.0) == pytest.approx(620, rel=0.02)
    for tick in range(20):
        assert half.seconds_left(10.0 + tick, 0.5 + tick / 600) == pytest.approx(300 - tick, rel=0.05)


def test_only_whole_jobs_teach_and_damage_harms_nobody(tmp_path: Path) -> None:
    rises = [(float(n), n / 10) for n in range(11)]
    for bad in (rises[2:], rises[:8], rises[:3]):
        rates.record_rate(tmp_path, "k", 10, bad)
        assert rates.read_rate(tmp_path, "k") is None
    rates.record_rate(tmp_path, "k", None, rises)
    assert rates.read_rate(tmp_path, "k") is None
    rates.record_rate(tmp_path, "k", 10, [(0.0, 0.0), (10.0, 1.0)])  # short scans tell of no more than begin and end
    assert rates.read_rate(tmp_path, "k").share(0.3) == pytest.approx(0.3)
    rates.record_rate(tmp_path, "k", 10, rises)
    assert rates.read_rate(tmp_path, "k").seconds == pytest.approx(1.0)
    for text in ("", "[]", '{"k": 3}', '{"k": {"seconds": 1, "shape": [1, 0]}}', '{"k": {"seconds": -1, "shape": []}}'):
        (tmp_path / "rates.json").write_text(text)
        assert rates.read_rate(tmp_path, "k") is None
        rates.record_rate(tmp_path, "k", 10, rises)
        assert rates.read_rate(tmp_path, "k").seconds == pytest.approx(1.0)


def test_real_scans_tell_better_the_second_time(stopped_engine: Engine, people_footage: dict[str, Path]) -> None:
    if weights.missing():
        pytest.skip("the face networks are not installed; `understudy models fetch` gets them")
    stopped_engine.runner = None
    (stopped_engine.home / "models").symlink_to(weights.folder())
    engine = stopped_engine.start()
    assert engine.http.get("/v1/engine").status_code == 200
    wait_until(lambda: engine.http.get("/v1/engine").json()["device"], "the device's name")
    # a scan of a second or two tells no time before it ends: on a quick machine the shot is a longer one
    for copies in (1, 4, 16, 64):
        shot = _repeated(people_footage["carphone"], copies, engine.home / f"shot-{copies}.mkv")
        (engine.home / rates.FILE_NAME).unlink(missing_ok=True)
        first = _told_by_scan(engine, f"first-{copies}", shot, 0, 120 * copies)
        if first[0] > LONG_ENOUGH:
            break
    second = _told_by_scan(engine, "second", shot, 20 * copies, 100 * copies)
    print(
        f"{first[0]:.1f} and {second[0]:.1f} s: error {first[1]:.0%}, then {second[1]:.0%} of the whole; "
        f"told from {first[2]:.0%}, then {second[2]:.0%} on"
    )
    assert second[1] < first[1]
    assert second[2] == 0.0 < first[2], "known from the first moment"


def _repeated(movie: Path, copies: int, to: Path) -> Path:
    """A movie a number of times over, its packets as they are."""
    if copies == 1:
        return movie
    with av.open(str(to), "w") as out:
        stream, offset = None, 0
        for _ in range(copies):
            with av.open(str(movie)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                begin = offset
                for packet in source.demux(video=0):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + begin, packet.dts + begin, stream
                    offset = max(offset, packet.pts + packet.duration)
                    out.mux(packet)
    return to


def _told_by_scan(engine: Engine, name: str, shot: Path, start: int, end: int) -> tuple[float, float, float]:
    """Scan a range: the seconds it took, the error of the times left that were told, the share before the first."""
    project = engine.home / f"{name}.understudy"  # nothing that was seen before helps
    clip = {"path": str(shot), "start": start, "end": end}
    spec = {"clip": clip, "output": str(project / "scans" / "shot"), "project": str(project)}
    assert engine.http.post("/v1/jobs", json={"id": name, "kind": "scan", "spec": spec}).status_code == 200
    engine.wait_for(name, "done")
    events = [e for e in engine.events(name) if e["kind"] == "progress"]
    last = events[-1]["time"]
    guesses = [e["data"]["seconds_left"] for e in events]
    took = last - events[0]["time"]
    heard = next((e["time"] for e, guess in zip(events, guesses, strict=True) if guess is not None), last)
    return took, error([last - e["time"] for e in events], guesses), (heard - events[0]["time"]) / took


def test_jobs_of_voices_are_told_by_the_sound_there_is(tmp_path: Path) -> None:
    clip, rest = SoundClip(path="a.wav", start=2.0, end=12.0), SoundClip(path="b.wav")
    recast = VoiceSpec(clip=clip, voice="v", output="o.wav", target="bob", identity="ann")
    draft = VoiceTrainSpec(identity="ann", material=[clip, clip], output="v", minutes=0)
    trained = replace(draft, minutes=3.0)
    assert [rates.units_of(spec) for spec in (recast, draft, trained)] == [10.0, 20.0, 3.0]
    assert rates.units_of(replace(draft, material=[clip, rest])) is None
    assert rates.key_of("voice-train", draft, tmp_path) != rates.key_of("voice-train", trained, tmp_path)
