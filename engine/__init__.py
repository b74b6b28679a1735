"""The engine: finds faces, trains models and converts footage, in a process of its own. Never imports bpy."""
