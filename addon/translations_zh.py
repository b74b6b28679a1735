"""Simplified Chinese. Keys are the English words as they stand in the code (`test_i18n.py` finds gaps)."""

STRINGS: dict[str, str] = {}
