"""Footage: what it is, its exact frames, and writing it back."""
