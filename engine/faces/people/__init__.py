"""Who is who: persons of a clip, corrections by hand, the people a project knows."""
