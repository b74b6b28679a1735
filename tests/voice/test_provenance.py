"""Consent to a voice, its credentials, its mark, and forgetting it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sounds
from understudy.engine import job_bodies
from understudy.engine.errors import ConsentError
from understudy.engine.media.waveform import resample
from understudy.engine.protocol import ConsentRecord, ForgetSpec, SoundClip, VoiceSpec, VoiceTrainSpec
from understudy.engine.provenance import voice_mark
from understudy.engine.provenance.consent import read_consent, record_consent
from understudy.engine.provenance.verify import verify
from understudy.engine.provenance.voices import certify_voice
from understudy.engine.reporter import Silent
from understudy.engine.voice.signal import filter_changes


def marked(seconds: float, key: int = voice_mark.KEY) -> np.ndarray:
    sound, _ = sounds.voice(seconds)
    frames = len(sound) // 160 + 1
    return filter_changes(sound, 16000, voice_mark.gains(0, frames, 16000, key))


def test_a_mark_is_found_by_its_key_alone() -> None:
    sound = marked(20)
    assert voice_mark.find(sound).score > 7
    assert voice_mark.find(sound[7777:]).present  # cut
    assert not voice_mark.find(marked(20, key=5)).present
    assert not voice_mark.find(sounds.voice(20)[0]).present
    assert not voice_mark.find(np.zeros(16000 * 5, np.float32)).present


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_mark_lies_at_the_same_pitches_at_any_rate(rate: int) -> None:
    sound, _ = sounds.voice(20, rate)
    fresh = filter_changes(sound, rate, voice_mark.gains(0, 2001, rate))
    assert voice_mark.find(resample(fresh, rate, voice_mark.RATE)).present


def agree(project: Path, *names: str, subject: str = "voice") -> None:
    for name in names:
        record_consent(
            project,
            ConsentRecord(
                identity=name, person=name, basis="test footage", scope="tests", date="2026-01-01", subject=subject
            ),  # type: ignore[arg-type]
        )


def test_a_face_says_nothing_of_the_voice(tmp_path: Path) -> None:
    agree(tmp_path, "Ann", "Bob", subject="face")
    spec = VoiceSpec(
        clip=SoundClip(path=str(tmp_path / "a.wav")),
        voice=str(tmp_path / "v"),
        output=str(tmp_path / "o.wav"),
        target="Bob",
        identity="Ann",
        project=str(tmp_path),
    )
    with pytest.raises(ConsentError, match=r"Ann and Bob.*--voice"):
        job_bodies.run("voice", spec, Silent())
    assert read_consent(tmp_path, "Ann") is not None and read_consent(tmp_path, "Ann", "voice") is None


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
def test_credentials_are_in_the_file_and_break_with_it(tmp_path: Path, suffix: str) -> None:
    from understudy.engine.media.waveform import SoundWriter, probe_sound, read_spans

    source = sounds.write(tmp_path / "bob.wav", sounds.voice(2, 44100)[0], 44100)
    info, output = probe_sound(source), tmp_path / f"out{suffix}"
    with SoundWriter(output, info) as writer:
        writer.write(next(read_spans(info, [(0, info.samples)])))
    project = tmp_path / "film.understudy"
    agree(project, "Ann", "Bob")
    (project / "voices" / "ann").mkdir(parents=True)
    (project / "voices" / "ann" / "voice.json").write_text('{"identity": "Ann", "sources": ["00"]}')
    spec = VoiceSpec(
        clip=SoundClip(path=str(source)),
        voice=str(project / "voices" / "ann"),
        output=str(output),
        target="Bob",
        identity="Ann",
        project=str(project),
    )
    certify_voice(spec, Silent(), {}, {"spoken": 1.0, "octave": 0, "semitones": 0.0}, {output: output})
    verdict = verify(output, Silent())
    assert verdict.credentials and not verdict.credentials.tampered and verdict.credentials.facts["voicesRecast"] == 1
    assert "TrainedAlgorithmicMedia" in verdict.credentials.actions[-1]["digitalSourceType"]
    data = bytearray(output.read_bytes())
    data[len(data) * 3 // 4] ^= 0x55
    changed = tmp_path / f"changed{suffix}"
    changed.write_bytes(bytes(data))
    broken = verify(changed, Silent()).credentials
    assert broken is None or broken.tampered
    gone = {
        item["path"]
        for item in job_bodies.run("forget", ForgetSpec(project=str(project), identity="Ann"), Silent())["items"]
    }
    assert {str(output), str(project / "voices" / "ann")} <= gone
    assert changed.is_file()  # what was changed since is no longer the recast
    assert not output.exists() and not (project / "voices" / "ann").exists()
    assert read_consent(project, "Ann", "voice") is None and read_consent(project, "Bob", "voice") is not None


def test_a_consent_is_one_persons_voice(networks: None, ann: Path, tmp_path: Path) -> None:
    """A second `voice swap` with other recordings in the same work folder does not run on the first one's consent."""
    project = tmp_path / "film.understudy"
    agree(project, "voice")
    man, again = tmp_path / "man.wav", tmp_path / "again.wav"
    sounds.write(man, sounds.voice(8, 44100, throat=0.85, pitch=80, seed=5)[0], 44100)
    sounds.write(again, sounds.voice(8, 44100, throat=1.2, pitch=190, seed=8)[0], 44100)

    def make(recording: Path) -> None:
        spec = VoiceTrainSpec(
            identity="voice",
            material=[SoundClip(path=str(recording))],
            output=str(project / "voices" / "voice"),
            minutes=0,
            project=str(project),
        )
        job_bodies.run("voice-train", spec, Silent())

    make(ann)
    make(again)
    card = (project / "voices" / "voice" / "voice.json").read_text()
    with pytest.raises(ConsentError, match=r"is voice's, but the voice in man\.wav is somebody else's"):
        make(man)
    assert (project / "voices" / "voice" / "voice.json").read_text() == card
    agree(project, "voice")  # it is them after all
    make(man)
    make(ann)
