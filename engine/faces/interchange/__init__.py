"""Alignments and faces to other programs, and from them."""
