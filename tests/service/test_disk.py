"""How much of the disk things take."""

from __future__ import annotations

from pathlib import Path

from .harness import Engine


def test_each_part_of_a_project_is_weighed(shared_engine: Engine, tmp_path: Path) -> None:
    project = tmp_path / "film.understudy"
    sizes = {
        "scans/shot-1/alignments.safetensors": 5000,
        "scans/.observed/key/0.safetensors": 70,
        "models/pair/weights.safetensors": 900,
        "models/pair/facesets/0.faceset": 300,
        "recasts/shot.mp4": 20,
    }
    for name, size in sizes.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(b"x" * size)
    (project / "models" / "loop").symlink_to(project)
    answer = shared_engine.http.get("/v1/disk", params={"project": str(project)}).json()
    items = {Path(i["path"]).relative_to(project).as_posix(): i for i in answer["items"] if "film" in i["path"]}
    assert {name: (item["kind"], item["bytes"]) for name, item in items.items() if name != "models/loop"} == {
        "scans/shot-1": ("scan", 5000),
        "models/pair": ("model", 1200),
        "models/pair/facesets/0.faceset": ("faceset", 300),
        "scans/.observed/key": ("observed", 70),
        "recasts/shot.mp4": ("recast", 20),
    }
    assert items["models/loop"]["bytes"] < 1000  # the link, not what it leads to
    assert shared_engine.http.get("/v1/disk?project=relative").status_code == 400
    assert shared_engine.http.get("/v1/disk?project=/nowhere").status_code == 200
