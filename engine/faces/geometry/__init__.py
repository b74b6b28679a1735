"""Plain geometry over landmarks: crops, pose, hulls, boxes, the mesh's topology."""
