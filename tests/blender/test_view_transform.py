"""What is drawn over the preview has the colours of the strips around it, whatever the scene's view transform."""

from __future__ import annotations

import importlib
import itertools

import bpy
import footage
import numpy as np
import pytest

SETTINGS = [
    {"view_transform": "AgX"},
    {"view_transform": "AgX", "look": "AgX - Punchy", "exposure": 0.7, "gamma": 1.2},
    {"view_transform": "Filmic"},
    {"view_transform": "Raw"},
    {"view_transform": "AgX", "use_curve_mapping": True},
]


@pytest.fixture
def table(addon):
    return importlib.import_module("bl_ext.user_default.understudy.addon.viewport.view_transform")


def read(image, size):
    """(blue, green, red, 3) out of the image's rows."""
    flat = np.empty(size * size * size * 4, np.float32)
    image.pixels.foreach_get(flat)
    return flat.reshape(size, size, size, 4)[..., :3].transpose(1, 0, 2, 3)


def look_up(grid, colours):
    """Trilinear, as the shader does it; colours (n, 3) in 0..1, red first."""
    size = len(grid)
    at = colours * (size - 1)
    low = np.minimum(at.astype(int), size - 2)
    part = at - low
    found = np.zeros_like(colours)
    for corner in itertools.product((0, 1), repeat=3):
        weight = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1, keepdims=True)
        r, g, b = (low + np.array(corner)).T
        found += weight * grid[b, g, r]
    return found


def test_standard_needs_no_table(scene, table):
    scene.view_settings.view_transform = "Standard"
    assert table.settings_of(scene) is None
    scene.view_settings.exposure = 1.0
    assert table.settings_of(scene) is not None


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(map(str, s.values())))
def test_the_table_is_what_the_sequencer_shows(scene, table, tmp_path, settings):
    rng = np.random.default_rng(7)
    stored = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    picture = bpy.data.images.new("stored", 64, 48)
    picture.pixels.foreach_set(np.dstack([stored / 255.0, np.ones((48, 64))]).astype(np.float32).ravel())
    picture.filepath_raw, picture.file_format = str(tmp_path / "stored.png"), "PNG"
    picture.save()
    footage.prepare(scene)
    scene.render.resolution_x, scene.render.resolution_y = 64, 48
    for name, value in settings.items():
        setattr(scene.view_settings, name, value)
    if scene.view_settings.use_curve_mapping:
        scene.view_settings.curve_mapping.curves[0].points.new(0.4, 0.6)
        scene.view_settings.curve_mapping.update()
    scene.sequence_editor.strips.new_image("stored", str(tmp_path / "stored.png"), 1, 1)
    scene.frame_set(1)
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(tmp_path / "shown.png")
    bpy.ops.render.render(write_still=True)
    shown = bpy.data.images.load(str(tmp_path / "shown.png"))
    shown.colorspace_settings.name = "Non-Color"
    flat = np.empty(64 * 48 * 4, np.float32)
    shown.pixels.foreach_get(flat)
    wanted = flat.reshape(-1, 4)[:, :3]
    scenes, images = set(bpy.data.scenes), set(bpy.data.images)
    made = table.table_of(scene)
    assert set(bpy.data.scenes) == scenes and set(bpy.data.images) - images == {made}
    got = look_up(read(made, table.SIZE), stored.reshape(-1, 3) / 255.0)
    error = np.abs(got - wanted) * 255
    assert error.mean() < 0.6 and np.percentile(error, 99) < 2.0, (error.mean(), np.percentile(error, 99))
    if bpy.app.version >= (5, 0, 0) or settings["view_transform"] != "Raw":  # 4.5 shows bytes raw as they are
        assert np.abs(stored.reshape(-1, 3) / 255.0 - wanted).mean() > 0.01
