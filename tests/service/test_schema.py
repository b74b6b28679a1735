"""The API against its own OpenAPI document: schemathesis asks what the document allows, and much that it does not."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.internal.conjecture import providers
from understudy.engine import protocol
from understudy.engine.protocol import Clip, EngineInfo, PreviewResult, ScanSpec
from understudy.engine.service.device_probe import Device
from understudy.engine.service.routes import footage_routes
from understudy.engine.service.server import create_app
from understudy.engine.service.store import Store
from understudy.engine.service.supervisor import Supervisor

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (group engine-dev)")

TOKEN = "t" * 64
EXAMPLES = 6  # a call; benchmarks/service_fuzz.py asks more


class Renderer:
    """Stands where the previewer's process would: whatever is asked has a picture."""

    def render(self, spec: Any) -> PreviewResult:
        return PreviewResult(path="/previews/1.png", steps=spec.frame & 0xFFFF, seconds=0.1)


def make_app(home: Path) -> Any:
    store = Store(home)
    supervisor = Supervisor(store, "scripted:run")  # never started: nothing is run
    store.submit("known", "scan", ScanSpec(clip=Clip(path="/a.mp4"), output=str(home / "known")))
    info = EngineInfo(protocol=protocol.PROTOCOL, version="0", pid=1, device="", url="http://127.0.0.1")
    device = Device(home / "device.json")
    device.ask = lambda: "cpu"  # type: ignore[method-assign]
    return create_app(supervisor, Renderer(), device, TOKEN, info, lambda: None)  # type: ignore[arg-type]


def examine(home: Path, examples: int) -> int:
    """Ask every call of the document `examples` times in accordance with it, and as often not; returns how often."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "127.0.0.1"}
    config = schemathesis.Config.from_dict(
        {"generation": {"allow-extra-parameters": False}}
    )  # unknown ones are ignored
    schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(home), headers=headers, config=config)
    asked = 0
    for found in schema.get_all_operations():
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            # (its pytest plugin does not know the newest pytest; its strategies do not need it)
            @seed(1)
            @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=found.ok().as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(headers=headers)

            with contextlib.suppress(Unsatisfiable):  # a call without parameters has no wrong ones
                ask()
    return asked


def test_the_api_is_as_its_document_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # what is asked does not depend on the constants of whatever modules were imported before
    monkeypatch.setattr(providers, "_get_local_constants", providers.Constants, raising=False)
    # footage is looked at in a process of its own
    monkeypatch.setattr(footage_routes, "examine_apart", lambda _: protocol.FootageReport(findings=[]))
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)  # scans of other tests flush them, Hypothesis draws them
    asked = examine(tmp_path, EXAMPLES)
    with capsys.disabled():
        print(f"\nschemathesis: {asked} requests, all checks pass")


def test_the_document_has_the_limits_of_the_settings(tmp_path: Path) -> None:
    schemas = make_app(tmp_path).openapi()["components"]["schemas"]
    fit = schemas["ConvertSettings"]["properties"]
    assert (fit["feather"]["minimum"], fit["feather"]["maximum"]) == (0.0, 0.5)
    assert (fit["erode"]["minItems"], fit["erode"]["maxItems"], fit["erode"]["items"]["maximum"]) == (4, 4, 0.4)
    assert fit["erode"]["description"].startswith("How far the face's edge is drawn in at the top, right, bottom, left")
    octave = schemas["VoiceSettings"]["properties"]["octave"]["anyOf"][0]
    assert (octave["type"], octave["minimum"], octave["maximum"]) == ("integer", -3, 3)
    assert any(part.get("exclusiveMinimum") == 0 for part in schemas["TrainSpec"]["properties"]["minutes"]["anyOf"])


@pytest.mark.parametrize(
    ("kind", "settings", "sentence"),
    [
        (protocol.ConvertSettings, {"erode": [0, -0.1, 0, 0]}, "at the right"),
        (protocol.ConvertSettings, {"erode": [0.1]}, "give four"),
        (protocol.ConvertSettings, {"feather": 0.51}, "0 to 0.5"),
        (protocol.ConvertSettings, {"smooth": -1}, "Smooth is -1"),
        (protocol.VoiceSettings, {"octave": -4}, "-3 to 3"),
        (protocol.VoiceSettings, {"semitones": 12.5}, "-12 to 12"),
    ],
)
def test_what_is_beyond_its_limits_is_refused_before_it_is_queued(
    kind: type, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        protocol.from_json(kind, settings)
