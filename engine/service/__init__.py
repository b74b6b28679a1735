"""The engine as a service: a queue of jobs that outlives Blender, its own workers and itself."""
