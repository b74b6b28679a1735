"""What becomes of faces that only a detector saw, on invented observations whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from understudy.engine.faces.alignments import Alignments
from understudy.engine.faces.networks.face_mesh import EYE_LINE
from understudy.engine.faces.tracking.assemble import assemble
from understudy.engine.faces.tracking.measure import Face
from understudy.engine.faces.tracking.observations import Observed
from understudy.engine.media.reader import MediaInfo
from understudy.engine.protocol import Clip

INFO = MediaInfo(
    path=Path("shot.mp4"),
    width=640,
    height=360,
    fps=Fraction(24),
    frames=100,
    variable_frame_rate=False,
    has_audio=False,
    is_still=False,
    codec="h264",
    pixel_format="yuv420p",
    rotation=0,
)


def face(frame: int, x: float, carried: bool = False, unseen: int = 0) -> Face:
    """A face about 100 px wide; every eighth one has an embedding."""
    points = np.random.default_rng(5).uniform(0, 100, (468, 3))
    points[list(EYE_LINE), :2] = (25, 40), (75, 40)
    embedding = np.full(128, 0.1, np.float32) if frame % 8 == 0 and not carried else None
    landmarks = (points + np.array([x, 50, 0])).astype(np.float32)
    return Face(frame=frame, landmarks=landmarks, score=0.9, embedding=embedding, carried=carried, unseen=unseen)


def glimpse(frame: int, x: float, score: float = 0.9, searched: bool = True) -> Face:
    """A face that a detector saw and the mesh did not, in a search or in a look where it ought to be."""
    seen = face(frame, x, carried=True)
    return replace(seen, score=0.0, glimpse=score, sighted=1 if searched else -1)


def table(faces: list[Face], frames: int = 60) -> Alignments:
    signatures = np.full((frames, 27, 48, 3), 90, np.uint8)
    seen = Observed(start=0, end=frames, signatures=signatures, faces=faces)
    return assemble(seen, Clip(path="shot.mp4", end=frames), INFO)


def test_a_turn_to_the_profile_is_followed_but_not_to_be_recast() -> None:
    turned = table([*[face(i, 2.0 * i) for i in range(24)], *[glimpse(i, 2.0 * i) for i in range(26, 60, 4)]])
    assert set(turned.track) == {0} and set(turned.person) == {0}
    assert turned.frame.tolist() == list(range(59))
    assert (turned.carried == (turned.frame >= 24)).all() and (turned.score[turned.frame >= 26] == 0).all()
    np.testing.assert_allclose(turned.box[:, 0], 2 * turned.frame, atol=2.5)
    assert turned.of_person(0).tolist() == list(range(24))


def test_a_face_that_was_never_measured_is_nobodys() -> None:
    found = table([*[face(i, 0.0) for i in range(60)], *[glimpse(i, 300.0) for i in range(2, 60, 4)]])
    nobody = found.person == -1
    assert found.frame[nobody].tolist() == list(range(2, 59)) and (found.score[nobody] == 0).all()
    assert found.carried[nobody].all() and not found.carried[~nobody].any()
    np.testing.assert_allclose(found.box[nobody].mean(0)[[0, 2]], [300, 400], atol=12)


def test_a_doubtful_or_rare_sight_is_no_face() -> None:
    measured = [face(i, 0.0) for i in range(60)]
    doubtful = [glimpse(i, 300.0, 0.65) for i in range(2, 60, 4)]
    rare = [glimpse(i, 450.0) for i in (2, 6)]
    assert set(table([*measured, *doubtful, *rare]).track) == {0}
    brief = [glimpse(i, 300.0, 0.65, searched=i % 4 == 2) for i in range(10, 20)]
    assert set(table([*measured, *brief]).track) == {0}


def test_a_doubtful_sight_that_stays_is_a_face() -> None:
    staying = [glimpse(i, 300.0, 0.65, searched=i % 4 == 2) for i in range(10, 50) if i % 3]
    found = table([*[face(i, 0.0) for i in range(60)], *staying])
    assert found.frame[found.person == -1].tolist() == list(range(10, 50))


def test_what_the_networks_follow_and_no_detector_sees_is_no_face() -> None:
    measured = [face(i, 0.0) for i in range(60)]
    unclear = [replace(face(i, 300.0), score=0.6, sighted=-1 if i % 4 else int(i % 12 == 0)) for i in range(60)]
    assert set(table([*measured, *unclear]).track) == {0}
    clear = [replace(f, score=0.9) for f in unclear]
    sighted = [replace(f, sighted=-1 if i % 4 else int(i % 12 > 0)) for i, f in enumerate(unclear)]
    for other in (clear, sighted):
        assert set(table([*measured, *other]).track) == {0, 1}


def test_what_flow_carried_counts_until_soon_after_the_last_sight_of_a_face() -> None:
    carried = [face(i, 0.0, True, unseen=(0 if i == 30 else i - 23 if i < 30 else i - 30)) for i in range(24, 42)]
    found = table([*[face(i, 0.0) for i in range(24)], *carried])
    assert found.frame.tolist() == list(range(33)) and (found.carried == (found.frame >= 24)).all()
    lost = table([*[face(i, 0.0) for i in range(24)], *carried[:5]])
    assert lost.frame.tolist() == list(range(26))
