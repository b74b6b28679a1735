"""The engine as Blender's main thread sees it: its environment, and the process beside Blender that talks to it."""
