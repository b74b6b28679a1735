"""Every word of the add-on that a user may see is there in Simplified Chinese."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import bpy
import flow
import pytest

ROOT = Path(__file__).resolve().parents[2] / "addon"
NAMED = {"name", "description", "text", "message", "title", "confirm_text"}
SHOWN = ("ConvertSettings", "VoiceSettings")
SAYING = {"tr", "RangeError", "SetupFailed", "_say"}
DATA = {"translations_zh.py"}
NO_WORDS = {"Understudy", "UNKNOWN", "H.264", "H.265", "FFV1", "ProRes 422 HQ", "ProRes 4444", "DNxHR HQX"}


def words(file: Path) -> set[str]:
    """The strings of a file that are shown: labels, descriptions, names of properties, items, and what goes through
    `tr`. Docstrings, descriptions of properties that no panel shows, and identifiers are not."""
    found: set[str] = set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            target = node.targets[0].id
            if target in {"bl_label", "bl_description"}:
                found |= _strings(node.value)
            elif target.isupper() and isinstance(node.value, ast.Tuple):
                items = [item for item in node.value.elts if isinstance(item, ast.Tuple) and len(item.elts) == 3]
                for item in items:
                    if all(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in item.elts):
                        found |= {part.value for part in item.elts[1:]}
        elif isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in SAYING and node.args:
                found |= _strings(node.args[0])
            if called.endswith("Property") and not any(k.arg == "name" for k in node.keywords):
                continue  # is never drawn
            if called in {"Thread", "new_movie", "new_image", "Identity", "JobReport", "replace"}:
                continue
            if called == "_step":
                found |= _strings(node.args[1])
            for keyword in node.keywords:
                if keyword.arg in NAMED:
                    found |= _strings(keyword.value)
    return found


def _strings(node: ast.AST) -> set[str]:
    if isinstance(node, ast.IfExp):
        return _strings(node.body) | _strings(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    return set()


def _settings(protocol) -> set[str]:
    """The labels, tooltips and choices of the settings that the panel shows."""
    found: set[str] = set()
    for one in (one for kind in SHOWN for one in protocol.settings_of(getattr(protocol, kind)) if one.label):
        for part in (one.limits and one.limits.parts) or ("",):
            found |= {one.label.format(part=part.capitalize()), one.help.format(part=part)}
        found |= {word for words in one.choices.values() for word in words}
    return found


def shown(addon) -> dict[str, Path]:
    found: dict[str, Path] = dict.fromkeys(_settings(addon.protocol), ROOT.parent / "engine" / "protocol")
    for file in ROOT.rglob("*.py"):
        if file.name not in DATA:
            found |= {word: file for word in words(file)}
    looks = {look: ROOT / "state" / "coverage.py" for look in _looks()}
    letters = re.compile("[A-Za-z]")
    return {w: f for w, f in {**found, **looks}.items() if letters.search(re.sub("{.*?}", "", w)) and w not in NO_WORDS}


def _looks() -> list[str]:
    tree = ast.parse((ROOT / "state" / "coverage.py").read_text(encoding="utf-8"))
    table = next(n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "LOOKS")
    return [key.value for key in table.value.keys]


def test_every_word_is_translated(addon):
    missing = {word: file.name for word, file in shown(addon).items() if word not in addon.i18n.LANGUAGES["zh_HANS"]}
    assert missing == {}


def test_no_word_is_translated_that_nobody_says(addon):
    assert sorted(set(addon.i18n.LANGUAGES["zh_HANS"]) - set(shown(addon))) == []


def test_translations_fill_the_same_facts(addon):
    for english, chinese in addon.i18n.LANGUAGES["zh_HANS"].items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", chinese)), english
        assert re.search("[\u4e00-\u9fff]", chinese) or english in {"H.264"}, english
        assert english.endswith(".") == chinese.endswith("。"), english


@pytest.fixture
def chinese():
    view = bpy.context.preferences.view
    if "zh_HANS" not in bpy.app.translations.locales:
        pytest.skip("this build of bpy has no languages")
    before = view.language, view.use_translate_interface
    view.language, view.use_translate_interface = "zh_HANS", True
    yield
    view.language, view.use_translate_interface = before


def test_blender_speaks_it(addon, scene, clips, chinese):
    assert addon.i18n.tr("Find People") == "查找人物"
    flow.add_shot(scene, clips)
    assert addon.steps.missing_for_scan(scene.understudy) == "请先标记要换脸的范围。"
