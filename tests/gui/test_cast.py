"""Two people of one shot, recast one after the other by mouse and keyboard, in a film with sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from test_story import FOOTAGE, add_identity, consents, count, leave, save, wait_for_job
from window import Window

WIDTH, HEIGHT, FRAMES, RATE = 640, 360, 12, 24
# mean difference of a face, levels of 255: 1.5 where only the movie was coded again, 2.0 of one face recast by two
# models (each has its mark), 10 and 30 of a face that was recast
CODED, MARKED, RECAST = 2.5, 4.0, 6.0


def frames(path: Path, limit: int = FRAMES) -> np.ndarray:
    """(frames, height, width, 3) uint8, BGR."""
    with av.open(str(path)) as container:
        return np.stack(
            [f.to_ndarray(format="bgr24") for f, _ in zip(container.decode(video=0), range(limit), strict=False)]
        )


def film_of_two(path: Path) -> Path:
    """The man in the car to the left and a portrait to the right, with a tone."""
    man = frames(FOOTAGE / "carphone.mp4")
    lady = cv2.imread(str(FOOTAGE / "grace_hopper.jpg"))
    assert lady is not None
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt, video.options = WIDTH, HEIGHT, "yuv420p", {"crf": "12"}
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for number in range(FRAMES):
            left = cv2.resize(man[number], (WIDTH // 2, HEIGHT * 2 // 3))
            picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
            picture[60 : 60 + len(left), : WIDTH // 2] = left
            side = min(lady.shape[:2])
            cut = lady[number // 2 : number // 2 + side, :side]
            picture[20:340, WIDTH // 2 :] = cv2.resize(cut, (WIDTH // 2, 320), interpolation=cv2.INTER_AREA)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode(None))
        tone = 0.2 * np.sin(np.arange(48000 * FRAMES // RATE) * 0.05, dtype=np.float32)
        for start in range(0, len(tone), 1024):
            part = av.AudioFrame.from_ndarray(tone[None, start : start + 1024].copy(), format="fltp", layout="mono")
            part.rate, part.pts, part.time_base = 48000, start, Fraction(1, 48000)
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def cast(window: Window) -> dict[str, str]:
    """Whose face everybody gets, by person's number."""
    names = "{i.key: i.name for i in sequencer().identities}"
    return window.ask(f"(lambda names: {{s.person: names[s.identity] for s in sequencer().swaps}})({names})")


def give(window: Window, person: str, wanted: str, then: dict[str, str]) -> None:
    """Choose whose face somebody gets, in the list under their name."""

    def choose() -> None:
        window.unfold("2 People")
        window.key("Escape")  # a list that opened without what is looked for
        left, top, width, height = window.region("SEQUENCE_EDITOR", "UI")
        window.scroll(left + width // 2, top + height // 2, -80)
        x, y = window.seek(person, room=30)
        window.click_at(x, y + 21)
        window.still()
        if found := window.find(wanted, window.around()):
            window.click_at(*found)

    window.until(choose, lambda: cast(window) == then, f"{wanted} for {person}")


def draft(window: Window) -> Path:
    """Recast as a draft by the panel's button; the file that was made."""
    known = window.ask("len([job for job in sequencer().jobs if job.kind == 'convert'])")
    window.press("without Training", count(window, "convert", known + 1), "conversion")
    wait_for_job(window, "convert")
    return Path(window.ask("[job.output for job in sequencer().jobs if job.kind == 'convert'][-1]"))


def apart(a: np.ndarray, b: np.ndarray, box: list[float]) -> float:
    """How far one face is apart in two movies."""
    x0, y0, x1, y1 = map(int, box)
    a, b = a[:, y0:y1, x0:x1], b[:, y0:y1, x0:x1]
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_the_second_person(window: Window) -> None:
    film = film_of_two(window.folder / "two.mp4")
    driver = window.folder / "driver.png"
    cv2.imwrite(str(driver), frames(FOOTAGE / "carphone.mp4", 60)[-1])
    window.start()
    window.new_video_editing()
    window.add_movie(film)
    assert window.ask("sorted(s.type for s in strips())") == ["MOVIE", "SOUND"]
    window.open_sidebar()
    window.click_tab("Understudy")
    save(window, "cast.blend")

    # the sound is the active strip, as Add > Movie leaves it
    window.press("Mark Range", lambda: window.ask("sequencer().shot.source_end") == FRAMES, "marked range")
    window.press("Find People", count(window, "scan", 1), "scan")
    wait_for_job(window, "scan")
    boxes = window.ask("[[p.person, *p.box] for p in sequencer().shot.scan.people]")
    assert len(boxes) == 2
    man, lady = (int(box[0]) for box in sorted(boxes, key=lambda box: box[1]))
    face = {int(box[0]): box[1:] for box in boxes}
    window.screenshot("two people")

    def select(person: int, name: str) -> None:
        before = cast(window)
        window.unfold("2 People")
        window.press(name, lambda: window.ask("sequencer().person") == person, "selected person")
        assert cast(window) == before  # a click selects and assigns nothing

    select(man, f"Person {man + 1}")
    add_identity(window, FOOTAGE / "astronaut.png")
    wait_for_job(window, "scan")
    window.wait(lambda: cast(window) == {str(man): "Astronaut"}, "the man's face")
    consents(window, "Eileen Collins", "The Man")
    wait_for_job(window, "consent")
    first = draft(window)
    window.screenshot("the man is recast")

    # then the leading lady, too
    select(lady, f"Person {lady + 1}")
    add_identity(window, driver)
    wait_for_job(window, "scan")
    window.wait(lambda: cast(window) == {str(man): "Eileen Collins", str(lady): "Driver"}, "both faces")
    window.screenshot("the lady is added")
    consents(window, "The Driver", "Grace Hopper", known=4)
    wait_for_job(window, "consent")
    window.seek("adds Grace")
    both = draft(window)
    names = "Eileen Collins, The Driver" if man < lady else "The Driver, Eileen Collins"
    seen = lambda: window.ask("[s.name for s in strips() if s.type == 'MOVIE' and not s.mute]")  # noqa: E731
    assert seen() == [film.name, f"{names} · draft · {film.name}"]
    window.screenshot("both in one strip")
    source, of_man, of_both = frames(film), frames(first), frames(both)
    assert apart(of_man, source, face[man]) > RECAST
    assert apart(of_man, source, face[lady]) < CODED
    assert apart(of_both, of_man, face[man]) < MARKED
    assert apart(of_both, source, face[lady]) > RECAST

    # one of them is removed
    give(window, "The Man", "Nobody", {str(lady): "The Driver"})
    of_lady = frames(draft(window))
    assert apart(of_lady, source, face[man]) < CODED
    assert apart(of_lady, source, face[lady]) > RECAST
    window.screenshot("the lady alone")

    # both at once again, she first: the very frames
    give(window, "The Man", "Eileen Collins", {str(lady): "The Driver", str(man): "Eileen Collins"})
    again = draft(window)
    assert again != both and np.array_equal(frames(again), of_both)
    window.screenshot("both at once")

    x, y, width, height = window.region("SEQUENCE_EDITOR", "WINDOW")
    strips = lambda: window.ask("len([s for s in strips() if s.type == 'MOVIE'])")  # noqa: E731
    assert strips() == 5
    for step in range(2):
        window.move(x + width - 60, y + height // 3)
        left = 4 - step

        def undone(left: int = left) -> bool:
            return strips() == left

        for _ in range(4):  # assigning a face is a step of its own
            if undone():
                break
            window.key("ctrl+z")
            window.still()
        assert undone()
    for _ in range(6):
        if strips() == 5:
            break
        window.key("ctrl+shift+z")
        window.still()
    assert strips() == 5 and cast(window) == {str(lady): "The Driver", str(man): "Eileen Collins"}
    kept = window.ask("shown()")
    leave(window)
    window.start(window.folder / "cast.blend")
    window.click_tab("Understudy")
    assert window.ask("shown()") == kept
    assert cast(window) == {str(lady): "The Driver", str(man): "Eileen Collins"}
    window.screenshot("reopened")
    assert window.quit() == 0
