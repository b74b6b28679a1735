"""From frames to tracks: measure every frame, keep what was seen, follow each face inside its shot."""
