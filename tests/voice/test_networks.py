"""The networks of the voice against known answers."""

from __future__ import annotations

import numpy as np
import pytest
import sounds
from understudy.engine.voice.content import find_content
from understudy.engine.voice.pitch import find_pitch
from understudy.engine.voice.separate import separate
from understudy.engine.voice.signal import decibels
from understudy.engine.voice.speaker import embed

pytestmark = pytest.mark.usefixtures("networks")


def within(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the frames voiced in both that lie within 50 cents."""
    count = min(len(found), len(truth))
    found, truth = found[:count], truth[:count]
    both = (found > 0) & (truth > 0)
    assert both.sum() > 0.8 * (truth > 0).sum()
    return float((np.abs(1200 * np.log2(found[both] / truth[both])) < 50).mean())


def test_the_known_melody_is_found() -> None:
    sound, f0 = sounds.voice(8, sung=True, pitch=130)
    assert within(find_pitch(sound), f0[::160]) > 0.99
    noise = np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    noisy = sound + noise * 10 ** ((decibels(sound) - 10 - decibels(noise)) / 20)
    assert within(find_pitch(noisy.astype(np.float32)), f0[::160]) > 0.97


def test_silence_has_no_pitch() -> None:
    assert not find_pitch(np.zeros(16000, np.float32)).any()


def test_the_known_melody_over_the_known_orchestra_comes_back() -> None:
    sound, f0 = sounds.voice(12, 44100, sung=True, pitch=130)
    back = sounds.accompaniment(12, 44100)
    mix = sound + back * 10 ** ((decibels(sound) - decibels(back)) / 20)
    alone = separate(mix[None], 44100)[0]
    from understudy.engine.media.waveform import resample

    assert within(find_pitch(resample(alone, 44100, 16000)), f0[::441]) > 0.95


def test_stereo_is_separated_as_it_lies() -> None:
    sound, back = sounds.voice(6, 44100)[0], sounds.accompaniment(6, 44100)
    mix = np.stack([sound + 0.3 * back, 0.4 * sound + 0.3 * back])
    alone = separate(mix, 44100)
    assert alone.shape == mix.shape
    assert decibels(alone[0]) - decibels(alone[1]) == pytest.approx(8, abs=2)


def test_content_keeps_the_words_of_a_disguise() -> None:
    sound, _ = sounds.voice(4)
    plain, disguised = find_content(sound), find_content(sound, 1.12)
    assert plain.shape == disguised.shape == (401, 1024)
    rows = [part - part.mean(0) for part in (plain, disguised, np.roll(plain, 100, 0))]
    near, far = ((rows[0] * other).sum() for other in rows[1:])
    assert near > 2 * abs(far)


def test_a_voice_is_like_itself() -> None:
    first, second = (sounds.voice(5, seed=seed)[0] for seed in (1, 2))
    other = sounds.voice(5, throat=1.25, pitch=230, seed=1)[0]
    assert embed(first) @ embed(second) > embed(first) @ embed(other)
    assert np.linalg.norm(embed(first)) == pytest.approx(1, abs=1e-5)
