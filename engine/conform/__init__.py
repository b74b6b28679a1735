"""Edits of other programs: what is to be recast in them, and what of them is recast."""
