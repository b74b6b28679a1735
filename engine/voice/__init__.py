"""Recast a voice: separate it from the rest, keep what is said and the melody, change who it sounds like, remix."""
