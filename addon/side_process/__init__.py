"""What runs in the process beside Blender, with threads; nothing here is imported by Blender itself."""
