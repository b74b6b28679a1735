"""From frames to alignments and facesets: find, measure, follow and name every face."""
