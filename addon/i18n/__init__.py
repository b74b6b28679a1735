"""The user's language. Whatever is shown and is no name or description of Blender's own fields goes through `tr`."""

from __future__ import annotations

import bpy

from . import translations_zh

LANGUAGES = {"zh_HANS": translations_zh.STRINGS}


def tr(text: str, **facts: object) -> str:
    """`text` in the user's language, its `{names}` filled with `facts`."""
    translated = bpy.app.translations.pgettext_iface(text)
    return translated.format(**facts) if facts else translated


def register() -> None:
    """Offer the translations to Blender."""
    contexts = ("*", "Operator")  # an operator's label has a context of its own
    table = {
        language: {(context, english): words for english, words in strings.items() for context in contexts}
        for language, strings in LANGUAGES.items()
    }
    bpy.app.translations.register(__package__, table)


def unregister() -> None:
    """Take them back."""
    bpy.app.translations.unregister(__package__)
