"""The draft: an identity's own frames, warped through the mesh onto another geometry, in another light."""
