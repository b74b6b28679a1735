"""Jobs done by the engine of another machine: two engines with a home each, and a wire between them that is cut."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import UnderstudyError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.networks import weights
from understudy.engine.model.model_folder import load_tensors, read_card
from understudy.engine.protocol import Clip, ScanSpec
from understudy.engine.remote.file_sync import clear_mirror
from understudy.engine.remote.link import Link, checked_address, raise_unreachable
from understudy.engine.reporter import Silent
from understudy.engine.service import serve
from understudy.engine.service.mirror import InvalidPlace, MirrorFile, Mirrors, Mismatch

from .harness import Engine, wait_until
from .training import agree, make_scan
from .wire import Wire


class Pair:
    """This machine's engine, and the one of the machine with the GPU. Nothing of `near` is named over there."""

    def __init__(self, folder: Path, runner: str | None = None) -> None:
        self.near, self.far = Engine(folder / "near" / "home", None), Engine(folder / "far" / "home", runner)
        for engine in (self.near, self.far):
            engine.home.mkdir(parents=True)
            if weights.folder().is_dir():
                (engine.home / "models").symlink_to(weights.folder())
        self.far.token_file = folder / "far" / "token"
        self.far.start()
        self.wire = Wire(self.far.http.base_url.port)
        self.near.start()
        self.project = folder / "near" / "film.understudy"
        self.project.mkdir()

    def use(self) -> dict[str, Any]:
        answer = self.near.http.post("/v1/remote", json={"url": self.wire.url, "token": self.token()})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def token(self) -> str:
        return self.far.token_file.read_text().strip()

    def submit(self, job_id: str, kind: str, **spec: Any) -> None:
        body = {"id": job_id, "kind": kind, "spec": {**spec, "project": str(self.project)}}
        answer = self.near.http.post("/v1/jobs", json=body)
        assert answer.status_code == 200, answer.text

    def done(self, job_id: str) -> dict[str, Any]:
        job = self.near.wait_for(job_id, "done", "failed", "cancelled")
        assert job["state"] == "done", job["error"]
        return job

    def arrived(self) -> int:
        """Bytes of footage that are over there, of files that are not whole."""
        return sum(path.stat().st_size for path in (self.far.home / "media").glob("*.part"))

    def came_home(self) -> int:
        """Bytes that are fetched, of files that are not whole."""
        return sum(path.stat().st_size for path in (self.project / ".incoming").glob("*.jpg"))

    def restart_far(self) -> None:
        """The power goes on the other machine, and comes back; the tunnel is opened again."""
        self.far.kill()
        self.wire.cut()
        self.wire.target = self.far.start().http.base_url.port
        self.wire.mend()

    def clean_up(self) -> None:
        self.wire.close()
        for engine in (self.near, self.far):
            engine.clean_up()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.clean_up()


@pytest.fixture
def bulky(tmp_path: Path) -> Iterator[Pair]:
    """Over there a scan makes what it reads, backwards: what counts is the way there and back."""
    pair = Pair(tmp_path, "scripted:bulky")
    pair.use()
    yield pair
    pair.clean_up()


def bulk(pair: Pair, name: str, size: int = 0, begins: bytes = b"") -> Path:
    path = pair.project.parent / name
    path.write_bytes(begins + os.urandom(size))
    return path


@pytest.fixture
def footage(tmp_path: Path, people_footage: dict[str, Path]) -> dict[str, Path]:
    """The real clips, in a folder that is this machine's alone."""
    if weights.missing():
        pytest.skip("the face networks are not installed; `understudy models fetch` gets them")
    folder = tmp_path / "near" / "footage"
    folder.mkdir(parents=True)
    return {name: Path(shutil.copy(path, folder)) for name, path in people_footage.items()}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names_of(folder: Path, word: str) -> list[str]:
    """The files below a folder in which a word stands."""
    return [str(p) for p in folder.rglob("*") if p.is_file() and p.suffix != ".log" and word.encode() in p.read_bytes()]


def test_a_film_is_recast_by_the_other_machine(pair: Pair, footage: dict[str, Path], tmp_path: Path) -> None:
    info = pair.use()
    assert info["remote"]["url"] == pair.wire.url
    project = pair.project
    scans = {name: project / "scans" / name for name in ("carphone", "astronaut")}
    pair.submit(
        "shot", "scan", clip={"path": str(footage["carphone"]), "start": 0, "end": 24}, output=str(scans["carphone"])
    )
    pair.submit("face", "scan", clip={"path": str(footage["astronaut"])}, output=str(scans["astronaut"]))
    shot, _ = pair.done("shot"), pair.done("face")
    assert shot["result"]["scan"] == str(scans["carphone"]) and shot["result"]["frames"] == 24
    alignments = load_alignments(scans["carphone"])
    assert alignments.clip.path == str(footage["carphone"]) and len(alignments) >= 24
    assert json.loads((scans["carphone"] / "scan.json").read_text())["clip"]["path"] == str(footage["carphone"])
    assert (scans["carphone"] / "person-0.jpg").is_file()

    agree(project, "Ada", "Bob")
    model, movie = project / "models" / "m", project / "recasts" / "take-01.mp4"
    identities = [
        {"name": "Ada", "material": [{"scan": str(scans["astronaut"]), "person": 0}]},
        {"name": "Bob", "material": [{"scan": str(scans["carphone"]), "person": 0}]},
    ]
    pair.submit("train", "train", identities=identities, output=str(model), preset="draft")
    pair.done("train")
    swaps = [{"person": 0, "identity": "Ada", "target": "Bob"}]
    still = {"scan": str(scans["carphone"]), "model": str(model), "swaps": swaps, "frame": 3, "project": str(project)}
    seen = pair.near.http.post("/v1/preview", json=still)
    assert seen.status_code == 200, seen.text
    assert Path(seen.json()["path"]).is_relative_to(pair.near.home)
    assert Path(seen.json()["path"]).read_bytes().startswith(b"\x89PNG")
    pair.submit("recast", "convert", scan=str(scans["carphone"]), model=str(model), swaps=swaps, output=str(movie))
    job = pair.done("recast")
    assert job["result"]["movie"] == str(movie) and job["result"]["recast"] == 24
    (record,) = (project / "provenance").glob("*.json")
    told = json.loads(record.read_text())
    assert told["output"] == str(movie) and told["output_sha256"] == digest(movie)
    assert told["source"] == str(footage["carphone"]) and told["source_sha256"] == digest(footage["carphone"])

    # what this machine has is worth as much as if it had been made here, and none of it names the other
    assert names_of(project, str(pair.far.home)) == [str(project / ".remote.json")]
    assert names_of(pair.far.home / "mirrors", str(project.parent)) == []
    assert not list(project.rglob(".incoming"))
    assert not [p for p in pair.near.home.rglob("*.part")]
    assert pair.near.http.post("/v1/remote", json={"url": ""}).json()["remote"] is None
    shutil.rmtree(pair.far.home / "mirrors")
    pair.submit("again", "convert", scan=str(scans["carphone"]), model=str(model), swaps=swaps, output=str(movie))
    assert pair.done("again")["result"]["recast"] == 24


def test_killed_on_both_sides_and_cut_it_sends_and_fetches_on_from_where_it_was(bulky: Pair) -> None:
    size = 30_000_000
    movie, output = bulk(bulky, "shot.mov", size), bulky.project / "scans" / "shot"
    bulky.wire.pause = 0.004
    bulky.submit("long", "scan", clip={"path": str(movie)}, output=str(output))

    def through(so_far: Callable[[], int], final: Path) -> None:
        """Kill this side's worker, the other side, and the wire, each when another fifth has gone over."""
        wait_until(lambda: so_far() > size // 5, "the first fifth")
        bulky.near.kill_worker("long")
        before = so_far()
        wait_until(lambda: so_far() > before + size // 5, "more, from where it was")
        bulky.restart_far()
        before = so_far()
        assert before > 2 * size // 5
        wait_until(lambda: so_far() > before, "more")
        bulky.wire.cut()
        wait_until(lambda: "does not answer" in bulky.near.job("long")["message"], "a word about the connection")
        assert bulky.near.job("long")["state"] == "running" and not final.exists()
        bulky.wire.mend()

    through(bulky.arrived, bulky.far.home / "media" / digest(movie))
    assert bulky.wire.sent < 1.35 * size + 3_000_000
    wait_until(lambda: bulky.came_home() > 0, "something to come back")
    through(bulky.came_home, output / "person-1.jpg")
    job = bulky.done("long")
    assert job["result"]["scan"] == str(output)
    assert (output / "person-1.jpg").read_bytes() == movie.read_bytes()[::-1]
    assert bulky.near.texts("long").count("step 0") == 1
    assert not (bulky.project / ".incoming").exists()
    assert bulky.near.job("long")["error"] is None


def forget_there(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("UNDERSTUDY_HOME", str(pair.near.home))
        clear_mirror(pair.project)


def test_the_same_footage_is_sent_once(bulky: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 4_000_000
    first, again = bulk(bulky, "a.mov", size), bulky.project.parent / "b.mov"
    shutil.copy(first, again)
    bulky.submit("first", "scan", clip={"path": str(first)}, output=str(bulky.project / "scans" / "a"))
    bulky.done("first")
    assert bulky.wire.sent > size
    sent = bulky.wire.sent
    bulky.project = bulky.project.with_name("other.understudy")
    bulky.submit("again", "scan", clip={"path": str(again)}, output=str(bulky.project / "scans" / "b"))
    bulky.done("again")
    assert bulky.wire.sent - sent < size // 20
    assert (bulky.project / "scans" / "b" / "person-1.jpg").read_bytes() == again.read_bytes()[::-1]
    (whole,) = (bulky.far.home / "media").iterdir()
    assert whole.stat().st_nlink == 3  # and in two mirrors: on the disk once
    picture = bulky.far.home / "previews" / "0123.png"
    picture.parent.mkdir(exist_ok=True)
    picture.touch()
    ledger = bulky.project / ".remote.json"
    kept = ledger.read_text()
    for project in (bulky.project, bulky.project.with_name("film.understudy")):
        agree(project, "Ada")
        spec = {"project": str(project), "identity": "Ada"}
        answer = bulky.near.http.post("/v1/jobs", json={"id": project.stem, "kind": "forget", "spec": spec})
        assert answer.status_code == 200, answer.text
        bulky.done(project.stem)
    assert not picture.exists()
    assert not list((bulky.far.home / "media").iterdir()) and not list((bulky.far.home / "mirrors").iterdir())
    ledger.write_text(kept)  # as if the copy lay on a third machine
    with pytest.raises(UnderstudyError, match="lies on another remote engine"):
        forget_there(bulky, monkeypatch)
    assert ledger.exists()


def test_footage_that_changed_is_sent_again_and_what_is_gone_goes(bulky: Pair) -> None:
    movie, output = bulk(bulky, "shot.mov", 100_000), bulky.project / "scans" / "shot"
    for n in range(2):
        bulky.submit(f"n{n}", "scan", clip={"path": str(movie)}, output=str(output))
        bulky.done(f"n{n}")
        assert (output / "person-1.jpg").read_bytes() == movie.read_bytes()[::-1]
        movie.write_bytes(os.urandom(120_000))
        (output / "masks").mkdir(exist_ok=True)
        (output / "masks" / "000009.png").write_bytes(b"x")
    mirror = next((bulky.far.home / "mirrors").iterdir())
    assert (mirror / "scans" / "shot" / "masks" / "000009.png").is_file()
    (output / "masks" / "000009.png").unlink()
    bulky.submit("last", "scan", clip={"path": str(movie)}, output=str(output))
    bulky.done("last")
    assert not (mirror / "scans" / "shot" / "masks" / "000009.png").exists()


def there(pair: Pair) -> dict[str, Any]:
    (job,) = pair.far.http.get("/v1/jobs").json()["jobs"]
    return job


def test_pause_resume_and_cancel_reach_the_other_machine(bulky: Pair) -> None:
    movie, output = bulk(bulky, "shot.mov", 1000, b"hold"), bulky.project / "scans" / "shot"
    bulky.submit("held", "scan", clip={"path": str(movie)}, output=str(output))
    wait_until(lambda: bulky.near.texts("held"), "a step")
    refused = bulky.near.http.post("/v1/remote", json={"url": ""})
    assert refused.status_code == 409 and "under way" in refused.json()["error"]
    bulky.near.tell("held", "pause")
    bulky.near.wait_for("held", "paused")
    bulky.far.wait_for(there(bulky)["id"], "paused")
    bulky.near.tell("held", "resume")
    bulky.far.wait_for(there(bulky)["id"], "running")
    # an engine that ends here leaves the work there alone, and finds it again
    wait_until(lambda: bulky.near.job("held")["state"] == "running" and bulky.near.worker("held"), "its worker")
    bulky.near.shut_down()
    time.sleep(0.5)
    assert there(bulky)["state"] == "running"
    bulky.near.start()
    steps = len(bulky.near.texts("held"))
    wait_until(lambda: len(bulky.near.texts("held")) > steps, "news from there")
    bulky.near.tell("held", "cancel")
    bulky.near.wait_for("held", "cancelled")
    assert there(bulky)["state"] == "cancelled"
    told = [text for text in bulky.near.texts("held") if text.startswith("step")]
    assert len(told) == len(bulky.far.texts(there(bulky)["id"])), "every line once, through all of that"


def test_what_is_cancelled_while_nobody_answers_is_cancelled_later(bulky: Pair) -> None:
    movie, output = bulk(bulky, "shot.mov", 1000, b"hold"), bulky.project / "scans" / "shot"
    bulky.submit("lost", "scan", clip={"path": str(movie)}, output=str(output))
    wait_until(lambda: bulky.near.texts("lost"), "a step")
    bulky.wire.cut()
    bulky.near.tell("lost", "cancel")
    bulky.near.wait_for("lost", "cancelled")
    assert there(bulky)["state"] == "running"
    bulky.wire.mend()

    def told() -> bool:
        info = bulky.near.http.get("/v1/engine").json()["remote"]
        return info["state"] == "ready" and there(bulky)["state"] == "cancelled"

    wait_until(told, "the other engine to hear of it")


def test_a_training_there_shows_here_and_brings_home_what_it_learned_when_it_is_cancelled(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "training:run")
    try:
        pair.use()
        agree(pair.project, "Ada", "Bea")
        scans = {name: make_scan(pair.project / "scans" / name, 6, n) for n, name in enumerate(["Ada", "Bea"])}
        for scan in scans.values():
            (scan / "scan.json").write_text(json.dumps({"clip": {"path": str(scan / "frames")}}))
        people = [{"name": n, "material": [{"scan": str(scan), "person": 0}]} for n, scan in scans.items()]
        model = pair.project / "models" / "m"
        pair.submit("train", "train", identities=people, output=str(model), preset="quick", minutes=5.0)

        def pictures() -> list[str]:
            return [e["data"]["path"] for e in pair.near.events("train") if e["kind"] == "preview"]

        shown = wait_until(pictures, "a preview")
        assert Path(shown[0]).is_relative_to(model) and Path(shown[0]).read_bytes().startswith(b"\xff\xd8")
        wait_until(lambda: [e for e in pair.near.events("train") if e["kind"] == "loss"], "a loss")
        assert not (model / "checkpoint.safetensors").exists()
        pair.near.tell("train", "cancel")
        pair.near.wait_for("train", "cancelled")
        (far,) = (pair.far.home / "mirrors").glob("*/models/m")
        kept = load_tensors(model / "checkpoint.safetensors")[1]["step"]
        assert kept == load_tensors(far / "checkpoint.safetensors")[1]["step"] == read_card(model).steps > 0
        losses = [[e["data"]["step"] for e in events if e["kind"] == "loss"]
                  for events in (pair.near.events("train"), pair.far.events(there(pair)["id"]))]  # fmt: skip
        assert losses[0] == sorted(set(losses[0])) and set(losses[0]) <= set(losses[1])
    finally:
        pair.clean_up()


# -- the calls themselves, for whoever may have the token


def far_calls(tmp_path: Path) -> tuple[Mirrors, str]:
    return Mirrors(tmp_path / "home"), "0" * 32


def test_a_file_arrives_whole_or_not_at_all(tmp_path: Path) -> None:
    mirrors, key = far_calls(tmp_path)
    data = os.urandom(3000)
    name = hashlib.sha256(data).hexdigest()
    assert mirrors.have(name) == (0, False)
    assert mirrors.append(name, 0, 3000, data[:1000]) == (1000, False)
    with pytest.raises(Mismatch, match="1000 bytes"):
        mirrors.append(name, 0, 3000, data[:1000])
    assert Mirrors(tmp_path / "home").append(name, 1000, 3000, data[1000:2000]) == (2000, False)
    with pytest.raises(Mismatch, match="damaged"):
        mirrors.append(name, 2000, 3000, os.urandom(1000))
    assert mirrors.have(name) == (0, False)
    assert mirrors.append(name, 0, 3000, data) == (3000, True)
    assert mirrors.append(name, 7, 3000, b"x") == (3000, True)  # all here already
    _, lacking = mirrors.place(key, [MirrorFile(path="a/b.mov", sha256=name)], [])
    assert lacking == [] and (mirrors.root(key) / "a" / "b.mov").read_bytes() == data
    assert mirrors.read(key, "a/b.mov", name, 2990) == data[2990:]
    (mirrors.root(key) / "a" / "b.mov").write_bytes(b"another")
    with pytest.raises(Mismatch, match="another file"):
        mirrors.read(key, "a/b.mov", name, 0)


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "C:x", "a\0b", "link/x", ".mirror", "x" * 3000]
)
def test_no_path_leads_out_of_a_mirror(tmp_path: Path, path: str) -> None:
    mirrors, key = far_calls(tmp_path)
    mirrors.place(key, [], [])
    (mirrors.root(key) / "link").symlink_to(tmp_path)
    (tmp_path / "x").write_bytes(b"secret")
    sent = MirrorFile(path=path, sha256="0" * 64, fresh=True)
    for act in (lambda: mirrors.place(key, [sent], []), lambda: mirrors.place(key, [], [path]),
                lambda: mirrors.read(key, path, "0" * 64, 0)):  # fmt: skip
        with pytest.raises(InvalidPlace):
            act()
    assert (tmp_path / "x").read_bytes() == b"secret"


def test_sizes_names_and_the_disk_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors, _ = far_calls(tmp_path)
    for digest_, offset, size in (
        ("../x", 0, 1),
        ("0" * 63, 0, 1),
        ("0" * 64, -1, 1),
        ("0" * 64, 0, 1 << 50),
        ("0" * 64, 1, 1),
    ):
        with pytest.raises(InvalidPlace):
            mirrors.append(digest_, offset, size, b"x")
    for key in ("", "..", "0" * 31, "A" * 32):
        with pytest.raises(InvalidPlace):
            mirrors.root(key)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(UnderstudyError, match=r"Make room there, then start the job again"):
        mirrors.append("0" * 64, 0, free, b"x")


def test_a_full_disk_here_keeps_what_was_fetched(
    bulky: Pair, disk_full_after: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    movie, output = bulk(bulky, "shot.mov", 3_500_000), bulky.project / "scans" / "shot"
    monkeypatch.setenv("UNDERSTUDY_HOME", str(bulky.near.home))
    spec = ScanSpec(clip=Clip(path=str(movie)), output=str(output), project=str(bulky.project))
    with disk_full_after(2_500_000), pytest.raises(UnderstudyError, match="goes on from there"):
        job_bodies.run("scan", spec, Silent())
    assert bulky.came_home() == 2_500_000 and not output.exists()
    came = bulky.wire.sent
    assert job_bodies.run("scan", spec, Silent())["scan"] == str(output)  # the command line's way, too
    assert (output / "person-1.jpg").read_bytes() == movie.read_bytes()[::-1]
    assert bulky.wire.sent - came < 100_000, "the footage is not sent again"


def test_a_token_file_is_its_users_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = serve._token(file)
    assert len(token) == 64 and file.stat().st_mode & 0o777 == 0o600 and serve._token(file) == token
    file.chmod(0o644)
    with pytest.raises(UnderstudyError, match="chmod 600"):
        serve._token(file)
    file.chmod(0o600)
    file.write_text("secret")
    with pytest.raises(UnderstudyError, match="no token of 32"):
        serve._token(file)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "http://example.org:80", "http://127.0.0.1", "http://[::1", "x"]
)
def test_a_remote_engine_is_reached_through_a_tunnel_only(url: str) -> None:
    with pytest.raises(UnderstudyError, match="ssh -N -L"):
        checked_address(url, "t" * 64)


def test_the_command_line_says_which_engine_works(
    bulky: Pair, run: Callable[..., tuple[int, dict[str, Any], str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(bulky.near.home))
    code, told, _ = run("remote", "show")
    assert code == 0 and told["remote"]["state"] == "ready" and told["remote"]["host"] == socket.gethostname()
    assert run("remote", "off")[:2] == (0, {"remote": None})
    wrong = tmp_path / "wrong"
    wrong.write_text("w" * 64)
    code, _, said = run("remote", "use", "--url", bulky.wire.url, "--token-file", wrong)
    assert code == 1 and "refuses the token" in said
    code, _, said = run("remote", "use", "--url", str(bulky.near.http.base_url), "--token-file", wrong)
    assert code == 1
    code, told, _ = run("remote", "use", "--url", bulky.wire.url, "--token-file", bulky.far.token_file)
    assert code == 0 and told["remote"]["state"] == "ready"
    assert (bulky.near.home / "remote.json").stat().st_mode & 0o777 == 0o600
    bulky.wire.cut()
    code, _, said = run("remote", "show")
    assert code == 1 and "goes on when the tunnel stands again" in said
    for home in (bulky.near.home, bulky.far.home):
        assert bulky.token() not in "".join(path.read_text() for path in home.rglob("*.log"))


@pytest.mark.parametrize(("theirs", "fits"), [("1.2", True), ("1.9", True), ("1.1", False), ("2.0", False)])
def test_an_engine_of_another_protocol_says_which_is_older(
    theirs: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = {"protocol": theirs, "version": "9", "pid": 1, "device": "", "url": "", "later": 1}
    monkeypatch.setattr(Link, "_ask", lambda *given, **more: json.dumps(info).encode())
    link = Link(checked_address("http://127.0.0.1:1", "t" * 64), raise_unreachable)
    if fits:
        assert link.info().protocol == theirs
    else:
        with pytest.raises(UnderstudyError, match="Update the older"):
            link.info()
