"""Training: dataset, step, loop, validation, convergence, checkpoints."""
