"""The panel offers what the engine takes, and nothing that it refuses."""

from __future__ import annotations

import typing

import pytest

PLACES = 1e-6
"""Blender's numbers have single precision; what is sent is rounded to four places."""


def numbers(addon, scene):
    """Each number of the panel that becomes one of a message: its property and the message's limits."""
    protocol, state = addon.protocol, scene.understudy
    for name, limits in protocol.limits_of(protocol.ConvertSettings).items():
        for part in limits.parts or ("",):
            yield state.fit.bl_rna.properties[f"{name}_{part}" if part else name], limits
    for name, limits in protocol.limits_of(protocol.TrainSpec).items():
        yield state.bl_rna.properties[name], limits


def test_no_number_of_the_panel_is_refused_by_the_engine(addon, scene):
    seen = list(numbers(addon, scene))
    assert len(seen) >= 8
    for property_, limits in seen:
        assert limits.allow(property_.hard_min) and property_.hard_max <= limits.high + PLACES, property_.identifier
        assert limits.allow(property_.default), property_.identifier


def test_every_number_of_the_fit_has_limits(addon, scene):
    known = {property_.identifier for property_, _ in numbers(addon, scene)}
    floats = {p.identifier for p in scene.understudy.fit.bl_rna.properties if p.type == "FLOAT"}
    assert floats <= known


def test_the_fit_begins_with_the_engines_defaults(addon, scene):
    assert (
        addon.settings_group.read(scene.understudy.fit, addon.protocol.ConvertSettings)
        == addon.protocol.ConvertSettings()
    )


def test_the_edge_at_both_ends_is_taken(addon, scene):
    protocol, fit = addon.protocol, scene.understudy.fit
    for value in (-9.0, 9.0):
        for property_, _ in numbers(addon, scene):
            if property_.identifier in fit.bl_rna.properties:
                setattr(fit, property_.identifier, value)
        sent = addon.settings_group.read(fit, protocol.ConvertSettings)
        assert protocol.from_json(protocol.ConvertSettings, protocol.to_json(sent)) == sent


@pytest.mark.parametrize(
    ("owner", "name", "choices", "left_out"),
    [
        ("fit", "colour", "ColourMethod", set()),
        ("fit", "blend", "BlendMethod", set()),
        ("", "format", "OutputFormat", {"passes"}),
        ("", "network", "Network", set()),
        ("", "preset", "Preset", {"draft"}),  # trains nothing: it has a button of its own
    ],
)
def test_the_panel_offers_all_choices_of_the_engine(addon, scene, owner, name, choices, left_out):
    where = scene.understudy.fit if owner else scene.understudy
    offered = {item.identifier for item in where.bl_rna.properties[name].enum_items}
    assert offered == set(typing.get_args(getattr(addon.protocol, choices))) - left_out
