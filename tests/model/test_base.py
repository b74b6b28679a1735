"""A base model of everybody at hand: who is in it, and that others begin from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from understudy.engine.commands.train import named_people
from understudy.engine.faces.people.edits import edit_people
from understudy.engine.model.model_folder import read_card
from understudy.engine.model.networks import refiner_network
from understudy.engine.protocol import PeopleEdit
from understudy.engine.reporter import Silent


def test_everybody_with_a_name_is_trained_and_others_begin_from_it(
    tmp_path: Path,
    carphone_folder: Path,
    astronaut_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_consent: Callable[..., None],
    run: Callable[..., tuple[int, dict[str, Any], str]],
) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))
    project = tmp_path / "film.understudy"
    scans = [project / "scans" / name for name in ("car", "portrait", "again")]
    for folder, scan in zip(scans, (carphone_folder, astronaut_folder, astronaut_folder), strict=True):
        shutil.copytree(scan, folder)
    base = project / "models" / "base"
    code, answer, _ = run("train", "--base", "-o", base)
    assert code == 2 and "Nobody has a name" in answer["error"]
    for folder, name in zip(scans, ("Max", "Eve", "Eve"), strict=True):
        edit_people(folder, [PeopleEdit(action="rename", persons=[0], name=name)], Silent(), project)
    people = {person.name: person.material for person in named_people(project)}
    assert {name: len(material) for name, material in people.items()} == {"Max": 1, "Eve": 2}
    code, answer, _ = run("train", "--base", "-o", base, "--minutes", "0.03")
    assert code == 7 and "permission" in answer["error"]  # a base is made of people who agreed, too
    record_consent(project, "Max", "Eve")
    code, answer, _ = run("train", "--base", "-o", base, "--minutes", "0.03")
    assert code == 0 and answer["steps"] > 0 and sorted(read_card(base).identities) == ["Eve", "Max"]
    code, _, said = run(
        "train", "--identity", f"Max={scans[0]}", "-o", project / "models" / "max", "--from", base, "--minutes", "0.03"
    )
    assert code == 0 and "Begins with what base has learned" in said
    (scans[1] / "scan.json").write_text("{")
    code, answer, _ = run("train", "--base", "-o", base)
    assert code == 6 and "damaged" in answer["error"]
