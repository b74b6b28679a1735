"""Known answers of what sound is measured and reshaped with."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import sounds
from understudy.engine.errors import DataError
from understudy.engine.media.waveform import resample
from understudy.engine.voice import containers, draft, envelope, excitation, pieces, pitches
from understudy.engine.voice.signal import filter_changes, levels


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000, 96000])
def test_no_change_leaves_the_sound(rate: int) -> None:
    sound = np.random.default_rng(0).uniform(-0.9, 0.9, (2, rate)).astype(np.float32)
    same = filter_changes(sound, rate, np.ones((101, 513), np.float32))
    assert np.abs(same - sound).max() < 1e-6


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_a_click_keeps_its_sample_through_a_filter(rate: int) -> None:
    """A change of one constant factor is that factor, at every sample; 5 ms are 220.5 samples at 44.1 kHz."""
    click = np.zeros((1, rate * 9), np.float32)
    at = rate * 8 + 77
    click[0, at] = 0.5
    out = filter_changes(click, rate, np.full((901, 513), 1.5, np.float32))
    assert int(np.abs(out[0]).argmax()) == at and out[0, at] == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_resampling_keeps_time(rate: int) -> None:
    time = np.arange(rate * 2) / rate
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    there = resample(tone, rate, 16000)
    assert len(there) == 32000
    wanted = np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    assert np.abs(there - wanted)[500:-500].max() < 2e-3
    assert np.abs(resample(there, 16000, rate)[: len(tone)] - tone)[4000:-4000].max() < 5e-3


def test_envelope_of_filtered_noise_is_the_filter() -> None:
    from scipy import signal

    b, a = signal.iirpeak(1500, 5, fs=16000)
    noise = signal.lfilter(b, a, np.random.default_rng(1).standard_normal(32000)).astype(np.float32)
    found = envelope.find_envelope(noise, np.zeros(201, np.float32))[10:-10].mean(0)
    _, response = signal.freqz(b, a, np.linspace(0, np.pi, 513))
    true = 2 * np.log(np.abs(response) + 1e-9)
    near = slice(70, 130)  # 1.1 to 2 kHz, where the filter stands high
    assert np.abs((found - true - (found - true)[near].mean())[near]).max() < 1.0


def test_noise_has_no_period_and_a_comb_has() -> None:
    f0 = np.full(101, 150.0, np.float32)
    comb = excitation.harmonics(f0)
    assert envelope.find_noise(comb, f0)[20:-20].mean() < 0.1
    hiss = excitation.white(0, 16000)
    assert envelope.find_noise(hiss, f0)[20:-20].mean() > 0.4
    assert (envelope.find_noise(hiss, np.zeros(101, np.float32)) == 1).all()


def test_synthesis_has_the_pitch_level_and_envelope_it_was_asked_for() -> None:
    f0 = np.full(301, 200.0, np.float32)
    flat = np.full((301, 513), np.log(0.01), np.float32)  # power density of −20 dB
    sound = excitation.synthesise(flat, np.full((301, 5), 0.02, np.float32), f0)
    assert len(sound) == 48000
    assert 20 * np.log10(np.sqrt((sound**2).mean())) == pytest.approx(-20, abs=1)
    spectrum = np.abs(np.fft.rfft(sound[8000:40000] * np.hanning(32000)))
    assert round(int(spectrum[300:500].argmax() + 300) / 2) == 200


def test_noise_is_the_same_whatever_piece_it_is_made_in() -> None:
    whole = excitation.white(0, 50000)
    assert np.array_equal(whole[16000:40000], excitation.white(16000, 24000))


def test_look_up_finds_the_frames_that_say_the_same() -> None:
    rng = np.random.default_rng(2)
    content = draft.unit(rng.standard_normal((200, 1024)))
    mel = rng.standard_normal((400, 80)).astype(np.float32)
    library = draft.Library(
        content=content,
        voiced=np.ones(200, bool),
        mel=np.repeat(mel[::2], 2, 0),
        noise=np.full((400, 5), 0.5, np.float32),
    )
    asked = np.repeat(content[50:100], 2, 0)
    one = draft.NEAREST
    found, noise = draft.look_up(asked, np.ones(100), library)
    assert found.shape == (100, 80) and np.allclose(noise, 0.5, atol=1e-4)
    own = np.repeat(mel[100:200:2], 2, 0)
    others = np.repeat(mel[300:400:2], 2, 0)
    assert (found * own).mean() > 0.5 / one > 4 * abs((found * others).mean())


def test_pieces_join_to_what_one_go_gives() -> None:
    rate, count = 1000, 70_123
    sound = np.random.default_rng(3).standard_normal((2, count)).astype(np.float32)
    for clip in ((0, count), (5_500, 40_001), (16_000, 32_000), (100, 900)):
        made = ((p, sound[:, p.span[0] : p.span[1]] * 2) for p in pieces.cut(count, rate, clip))
        at = clip[0]
        for start, rows in pieces.join(made, rate):
            assert start == at
            assert np.allclose(rows, sound[:, at : at + rows.shape[1]] * 2, atol=1e-6)
            at += rows.shape[1]
        assert at == clip[1]


def test_edges_are_zero_outside_and_one_inside() -> None:
    edge = pieces.edges(0, 1000, (200, 800), 1000)
    assert not edge[:200].any() and not edge[800:].any() and (edge[211:789] == 1).all()


def test_octaves_for_song_semitones_for_speech() -> None:
    man, woman = np.full(500, 110.0), 220.0
    assert pitches.propose(man, woman, sung=True, target_sung=True) == (1, 0.0)
    assert pitches.propose(man, 130.0, sung=True, target_sung=True) == (0, 0.0)
    assert pitches.propose(man, 60.0, sung=True, target_sung=True) == (-1, 0.0)
    assert pitches.propose(man, 165.0, sung=False, target_sung=False) == (0, 7.0)
    assert pitches.propose(np.zeros(500), woman, sung=True, target_sung=True) == (0, 0.0)


def test_song_is_told_from_speech() -> None:
    _, spoken = sounds.voice(8)
    _, sung = sounds.voice(8, sung=True)
    assert pitches.held_share(sung[::160]) > 2 * pitches.held_share(spoken[::160])
    assert pitches.is_sung(sung[::160])


def test_notes_have_their_names() -> None:
    assert [pitches.note(hz) for hz in (440, 110, 261.63, 92.5)] == ["A4", "A2", "C4", "F♯2"]


def test_levels_are_those_of_a_tone() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(16000) / 16000)
    assert levels(tone.astype(np.float32))[5:-5] == pytest.approx(-9.03, abs=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_readers_of_weights_refuse_what_is_damaged(seed: int) -> None:
    rng = np.random.default_rng(seed)
    garbage = bytes([0x3A, 40, 0x2A, 38]) + rng.integers(0, 256, 60, np.uint8).tobytes()
    with contextlib.suppress(DataError):
        containers.read_onnx(garbage)
    name = b"encoder/conv1/bias\0"
    with pytest.raises(DataError):
        containers.read_ct2(b"xx" + bytes([len(name), 0]) + name + bytes([1]) + b"\xff" * 20, "encoder/conv1/bias")
    with pytest.raises(DataError):
        containers.read_ct2(garbage, "encoder/conv1/bias")
