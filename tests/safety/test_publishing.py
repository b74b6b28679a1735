"""Nothing unsigned or unrecorded ever stands under a recast's name: made, signed, recorded, and only then renamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import UnderstudyError
from understudy.engine.media.partial_output import matte_path
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.media.writer import MovieWriter
from understudy.engine.protocol import ConvertSettings, ConvertSpec, Swap
from understudy.engine.provenance.credentials import Claim, read_credentials, sidecar, sign_all
from understudy.engine.provenance.recasts import all_recasts
from understudy.engine.reporter import Silent

FRAMES = 6


def spec_of(project: Path, carphone_folder: Path, name: str, **more: Any) -> ConvertSpec:
    return ConvertSpec(
        scan=str(project / "scans" / carphone_folder.name),
        model=str(project / "models" / "one"),
        swaps=[Swap(person=0, identity="woman", target="man")],
        output=str(project / "recasts" / name),
        project=str(project),
        end=FRAMES,
        **more,
    )


def contents(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture
def spoilt(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A certificate of the user's that cannot be used; the fixture given takes it away again."""
    patch = pytest.MonkeyPatch()
    for name in ("UNDERSTUDY_CERTIFICATE", "UNDERSTUDY_KEY"):
        (tmp_path / name).write_text("nothing")
        patch.setenv(name, str(tmp_path / name))
    yield patch
    patch.undo()


@pytest.mark.parametrize(
    ("name", "format"), [("shot.mp4", "same"), ("shot.mkv", "ffv1"), ("pictures", "png"), ("linear", "exr")]
)
def test_when_signing_fails_the_earlier_recast_stays(
    project: Path, carphone_folder: Path, spoilt: pytest.MonkeyPatch, name: str, format: str
) -> None:
    spec = spec_of(project, carphone_folder, name, format=format)
    output = Path(spec.output)
    with pytest.raises(UnderstudyError, match="cannot be used"):
        job_bodies.run("convert", spec, Silent())
    assert not output.exists() and not sidecar(output).exists()
    assert not [r for r in all_recasts(project) if r.output == str(output)]
    spoilt.undo()
    made = job_bodies.run("convert", spec, Silent())
    first = output if output.is_file() else sorted(p for p in output.iterdir() if p.suffix != ".c2pa")[0]
    found = read_credentials(first)
    assert found and found.id == made["credentials"] and found.state == "Valid"
    (recorded,) = [r for r in all_recasts(project) if r.output == str(output)]
    before, beside = contents(output), contents(sidecar(output))
    assert output.is_dir() or (sidecar(output).is_file() is (output.suffix == ".mkv"))
    for variable in ("UNDERSTUDY_CERTIFICATE", "UNDERSTUDY_KEY"):
        spoilt.setenv(variable, str(project / "none.pem"))
    with pytest.raises(UnderstudyError, match="cannot be used"):
        job_bodies.run("convert", replace(spec, settings=ConvertSettings(feather=0.2)), Silent())
    spoilt.undo()
    assert contents(output) == before and contents(sidecar(output)) == beside
    assert [r for r in all_recasts(project) if r.output == str(output)] == [recorded]
    left = sorted(p.name for p in output.with_name(f"{name}.part").iterdir())
    assert left == ["recasts.json", "segments"]  # whose it is, to go on from; no whole recast that nobody signed
    job_bodies.run("convert", replace(spec, settings=ConvertSettings(feather=0.2)), Silent())
    assert contents(output) != before and not output.with_name(f"{name}.part").exists()
    found = read_credentials(first)
    assert found and not found.tampered


@pytest.mark.parametrize(("name", "format"), [("out.mov", "prores-4444"), ("out", "png")])
def test_a_recast_and_its_matte_are_signed_before_either_has_its_name(
    tmp_path: Path, make_clip: Any, monkeypatch: pytest.MonkeyPatch, name: str, format: Any
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    source, output = make_clip(tmp_path / "in.mp4", FRAMES), tmp_path / name
    seen: list[Path] = []

    def certify(made: Mapping[Path, Path]) -> dict[Path, Path]:
        assert not output.exists() and not matte_path(output).exists()
        seen.extend(made)
        for whole in made.values():
            assert whole.is_relative_to(output.with_name(f"{name}.part"))
            sign_all(sorted(whole.iterdir()) if whole.is_dir() else [whole], Claim("x", "y", []))
        return {}

    with MovieWriter(output, probe(source), 0, FRAMES, format=format, layer=True, certify=certify) as writer:
        for frame in read_frames(source):
            writer.write(frame)
    assert set(seen) == {output, matte_path(output)}
    for path in seen:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            found = read_credentials(file)
            assert found and not found.tampered
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["home", "in.mp4", *(p.name for p in seen)])


def test_a_folder_beside_the_pictures_is_nobodys_to_remove(tmp_path: Path, make_clip: Any) -> None:
    source = make_clip(tmp_path / "in.mp4", FRAMES)
    photos = tmp_path / "out.old"
    photos.mkdir()
    (photos / "wedding.png").write_bytes(b"memories")
    for _ in range(2):  # new, and in place of an earlier one
        with MovieWriter(tmp_path / "out", probe(source), 0, FRAMES, format="png") as writer:
            for frame in read_frames(source):
                writer.write(frame)
    assert (photos / "wedding.png").read_bytes() == b"memories"
    assert len(list((tmp_path / "out").iterdir())) == FRAMES


def test_a_record_is_of_the_file_that_has_the_name(project: Path, carphone_folder: Path) -> None:
    spec = spec_of(project, carphone_folder, "recorded.mp4")
    job_bodies.run("convert", spec, Silent())
    from understudy.engine.durable import hash_file

    (record,) = [r for r in all_recasts(project) if r.output == spec.output]
    assert record.output_sha256 == hash_file(Path(spec.output))
    told = json.loads(Path(f"{spec.output}.understudy.json").read_text())
    assert told["convert"]["output"] == spec.output
