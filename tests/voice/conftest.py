"""What the tests of the voice share: the networks, two made-up people, a voice folder of one of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `sounds`, which is no package


@pytest.fixture(scope="session")
def networks() -> None:
    """The voice networks, or the test is skipped."""
    from understudy.engine.voice import networks as kept

    if kept.missing():
        pytest.skip("the voice networks are not installed: understudy models fetch --voice")


@pytest.fixture(scope="session")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s of Ann, who has a short throat, at 44.1 kHz."""
    import sounds

    sound, _ = sounds.voice(12, 44100, throat=1.2, pitch=190, seed=3)
    return sounds.write(tmp_path_factory.mktemp("ann") / "ann.wav", sound, 44100)


@pytest.fixture(scope="session")
def anns_voice(networks: None, ann: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft voice of Ann in a project of its own, `film.understudy`."""
    from understudy.engine.protocol import SoundClip, VoiceTrainSpec
    from understudy.engine.reporter import Silent
    from understudy.engine.voice.train import train_voice

    folder = tmp_path_factory.mktemp("voices") / "film.understudy" / "voices" / "ann"
    spec = VoiceTrainSpec(identity="Ann", material=[SoundClip(path=str(ann))], output=str(folder), minutes=0)
    train_voice(spec, Silent())
    return folder
