"""What a scene and its project remember, and what of it each step lacks."""
