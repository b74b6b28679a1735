"""From alignments and a model to a recast movie."""
