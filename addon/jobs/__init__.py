"""Jobs on Blender's side: started, followed, and what they bring into the scene."""
