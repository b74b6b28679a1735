"""Strips, frames and places: what a strip shows, and where a recast goes."""
