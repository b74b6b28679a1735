"""A face in another face's light: dark stays dark, and what is no skin is no light."""

from __future__ import annotations

import torch
from understudy.engine.model.draft.relight import bands, relight, tone

SIDE = 96
EYE = (slice(None), slice(None), slice(40, 46), slice(30, 36))
LIPS = (slice(None), slice(None), slice(66, 78), slice(30, 66))


def face(light: tuple[float, float, float], lips: tuple[float, float, float] = (0.8, 0.7, 0.6)) -> torch.Tensor:
    """Skin in a light of its own from one side, with a dark eye and lips: (1, 3, S, S)."""
    albedo = torch.tensor([0.8, 0.7, 0.6])[:, None, None].expand(3, SIDE, SIDE).clone()[None]
    albedo[EYE] = 0.12
    albedo[LIPS] = torch.tensor(lips)[:, None, None]
    return albedo * torch.tensor(light)[:, None, None] * torch.linspace(0.7, 1.0, SIDE)


def taken_apart() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weight, skin and face coordinates of such a face."""
    x = torch.linspace(-1, 1, SIDE)
    where = torch.stack([x.expand(SIDE, SIDE), x[:, None].expand(SIDE, SIDE), torch.zeros(SIDE, SIDE)])[None]
    skin = torch.ones(1, 1, SIDE, SIDE)
    for no_skin in (EYE, LIPS):
        skin[no_skin] = 0
    return torch.ones(1, 1, SIDE, SIDE), skin, where


def eyeball() -> torch.Tensor:
    eyes = torch.zeros(1, 1, SIDE, SIDE)
    eyes[EYE] = 1
    return eyes


def test_a_dark_eye_in_bright_light_gets_no_veil() -> None:
    weight, skin, where = taken_apart()
    dim, bright = face((0.5, 0.5, 0.45)), face((0.95, 0.95, 1.0))
    for source, target in ((dim, bright), (bright, dim)):
        made = relight(
            bands(source, weight, skin, 1 - skin, where), bands(target, weight, skin, 1 - skin, where), skin, eyeball()
        )
        assert (made - target)[EYE].abs().mean() < 0.05  # .3 if what is darker than skin were carried over as it is
        assert (made - target).abs().mean() < 0.01


def test_red_lips_of_the_targets_do_not_redden_the_skin_beside_them() -> None:
    weight, skin, where = taken_apart()
    plain, painted = face((0.9, 0.9, 0.9)), face((0.9, 0.9, 0.9), lips=(0.9, 0.1, 0.1))
    source = bands(plain, weight, skin, 1 - skin, where)
    made = relight(source, bands(painted, weight, skin, 1 - skin, where), skin, eyeball())
    assert ((made - plain).abs() * skin).max() < 0.01
    blind = torch.ones_like(skin)
    reddened = relight(source, bands(painted, weight, blind, 1 - skin, where), skin, eyeball())
    assert ((reddened - plain).abs() * skin).max() > 0.05


def test_an_eye_in_a_red_shadow_keeps_its_colour_and_stays_grey_in_grey_footage() -> None:
    weight, skin, where = taken_apart()
    # skin is redder where it is darker; a grey eye is as grey there
    red = torch.stack([torch.linspace(start, 0.9, SIDE) for start in (0.6, 0.4, 0.3)])[None, :, None]
    source, target = face((1, 1, 1)) * red, face((0.9, 0.85, 0.8))
    source[EYE] = 0.15
    made = relight(
        bands(source, weight, skin, 1 - skin, where), bands(target, weight, skin, 1 - skin, where), skin, eyeball()
    )[EYE]
    colour = made.mean((0, 2, 3))
    assert colour.max() / colour.min() < 1.25  # 1.6 as it is told by the skin beside it
    grey = target.mean(1, keepdim=True).expand_as(target)
    made = relight(
        bands(source, weight, skin, 1 - skin, where), bands(grey, weight, skin, 1 - skin, where), skin, eyeball()
    )
    assert (made[:, 0] - made[:, 2]).abs().max() < 0.01


def test_light_told_of_the_middle_of_a_face_does_not_run_away_at_its_rim() -> None:
    _, _, where = taken_apart()
    picture = torch.linspace(0, 1, SIDE).expand(1, 3, SIDE, SIDE)  # brighter and brighter to the right
    seen = torch.zeros(1, 1, SIDE, SIDE)
    seen[..., 36:60] = 1
    told = tone(picture, seen, where)
    assert (told - picture)[..., 36:60].abs().max() < 0.01
    assert picture[..., 34].max() < told[..., 0].min() + 0.03 and told[..., -1].max() < picture[..., 62].min() + 0.03


def test_folds_in_grazing_light_stay_faint_and_grey_on_a_cheek_in_full_light() -> None:
    weight, skin, where = taken_apart()
    dark = torch.linspace(1, 0, SIDE)  # where the source lies in shadow, and the target in light
    red = (0.9, 0.2, 0.2)
    source = face((0.9, 0.9, 0.9), red) * (1 - 0.6 * dark)
    wanted = bands(face((0.9, 0.85, 0.8), red) * (0.4 + 0.6 * dark), weight, skin, 1 - skin, where)
    plain = relight(bands(source, weight, skin, 1 - skin, where), wanted, skin, eyeball())

    def strength(folds: torch.Tensor) -> float:
        """How strong they are on the bright cheek, in parts of what they are in the shadow."""
        made = relight(bands(source + folds, weight, skin, 1 - skin, where), wanted, skin, eyeball())
        return float(((made - plain) * skin)[..., :32].std() / folds[..., :32].std())

    waves = torch.sin(torch.arange(SIDE) * (2 * torch.pi / 24)) * dark * skin
    assert strength(waves * 0.05) < 1.25  # 1.38 in the full ratio of both lights
    assert (
        strength(waves * torch.tensor([0.06, -0.02, -0.06])[:, None, None]) < 0.55
    )  # 0.84 if broad colours were detail


def test_a_face_depends_neither_on_those_beside_it_nor_on_how_many_threads_work() -> None:
    dice = torch.Generator().manual_seed(0)
    pictures, weight = (torch.rand(8, channels, 256, 256, generator=dice) for channels in (3, 1))

    def lit(count: int, threads: int) -> torch.Tensor:
        torch.set_num_threads(threads)
        some, seen = pictures[:count].clone(), weight[:count].clone()
        source, target = bands(some, seen, seen, 1 - seen, some), bands(1 - some, seen, seen, 1 - seen, some)
        return relight(source, target, seen, seen)[:1]

    before = torch.get_num_threads()
    try:
        made = [lit(count, threads) for count in (1, 3, 8) for threads in (1, 2)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(made[0], other) for other in made[1:])


def test_a_cast_shadow_is_the_targets_and_not_the_sources() -> None:
    weight, skin, where = taken_apart()
    band = torch.ones(SIDE)
    band[14:20] = 0.5  # a hard shadow on the cheek, well clear of eye and lips
    lit, shadowed = face((0.9, 0.9, 0.9)), face((0.9, 0.9, 0.9)) * band
    in_light, in_shadow = (bands(picture, weight, skin, 1 - skin, where) for picture in (lit, shadowed))
    assert in_light.cast.abs().max() < 0.15  # what a face has of its own

    def depth(picture: torch.Tensor) -> float:
        return float(picture[..., 16:18].mean() / picture[..., 24:28].mean())

    made = relight(in_light, in_shadow, skin, eyeball())
    assert depth(made) < depth(lit) - 0.5 * (depth(lit) - depth(shadowed))
    freed = relight(in_shadow, in_light, skin, eyeball())
    assert depth(freed) > depth(shadowed) + 0.3 * (depth(lit) - depth(shadowed))
    assert depth(relight(in_shadow, in_shadow, skin, eyeball())) < depth(shadowed) + 0.1  # both: once, not twice


def test_gloss_of_dark_skin_is_no_chrome_on_pale_skin() -> None:
    weight, skin, where = taken_apart()
    spot = torch.ones(SIDE)
    spot[14:20] = 1.6  # gloss on the cheek, well clear of eye and lips
    dark, pale = face((0.45, 0.45, 0.45)), face((0.95, 0.95, 0.95))
    wanted = bands(pale, weight, skin, 1 - skin, where)
    made = relight(bands(dark * spot, weight, skin, 1 - skin, where), wanted, skin, eyeball())
    plain = relight(bands(dark, weight, skin, 1 - skin, where), wanted, skin, eyeball())
    gloss = (made / plain)[:, :, 24:36, 16:18].mean()
    assert 1.0 < gloss < 1.12  # 1.38 where all of it stays; nothing of the target shines
    shining = torch.ones(SIDE)
    shining[76:82] = 1.25  # the other cheek
    wanted = bands(pale * 0.75 * shining, weight, skin, 1 - skin, where)
    made = relight(bands(dark * spot, weight, skin, 1 - skin, where), wanted, skin, eyeball())
    plain = relight(bands(dark, weight, skin, 1 - skin, where), wanted, skin, eyeball())
    assert gloss + 0.03 < (made / plain)[:, :, 24:36, 16:18].mean() < 1.3


def test_eyes_do_not_glow_in_the_dark() -> None:
    weight, skin, where = taken_apart()
    source, target = (bands(face(light), weight, skin, 1 - skin, where) for light in ((0.9,) * 3, (0.004,) * 3))
    white = torch.zeros_like(eyeball())
    white[..., 50:60, 30:40] = 1  # as bright as skin
    made = relight(source, target, skin, white)
    assert made[..., 50:60, 30:40].max() < 0.1  # .35 where a half is the least of it


def test_shading_is_as_red_as_the_targets_skin_is_where_it_is_dark() -> None:
    weight, skin, where = taken_apart()
    waves = (torch.sin(torch.arange(SIDE) * (2 * torch.pi / 24)) * 0.08)[:, None] * skin
    grey = face((0.9, 0.9, 0.9)) * (1 + waves)
    red = face((0.9, 0.9, 0.9)) * (1 + waves * torch.tensor([0.5, 1.2, 1.2])[:, None, None])  # blood, in shadow
    source, target = (bands(picture, weight, skin, 1 - skin, where) for picture in (grey, red))
    made = relight(source, target, skin, eyeball()) / relight(source, source, skin, eyeball())
    crest, trough = made[..., 5:8, 50:60].mean((0, 2, 3)), made[..., 17:20, 50:60].mean((0, 2, 3))
    redness = (trough / crest)[0] / (trough / crest)[1]
    assert 1.04 < redness < 1.15  # 1.11 in the target; 1 where shading is as grey as the source's


def test_gloss_between_brows_goes_too_and_leaves_the_skins_own_colour() -> None:
    weight, skin, where = taken_apart()
    brows = skin.clone()
    brows[..., 10:24, 20:76] = 0
    tinted = 1 - skin
    warm = face((0.6, 0.45, 0.3))
    shining = warm.clone()
    shining[..., 14:20, 44:52] += 0.25  # white light
    wanted = bands(face((0.9, 0.9, 0.9)), weight, brows, tinted, where)
    made, plain = (
        relight(bands(picture, weight, brows, tinted, where), wanted, brows, eyeball()) for picture in (shining, warm)
    )
    gloss = (made / plain)[..., 16:18, 46:50].mean((0, 2, 3))
    assert 1.0 < gloss.mean() < 1.25  # 1.5 and more where only plain skin is freed of it
    assert gloss[2] / gloss[0] < 1.1  # not white
