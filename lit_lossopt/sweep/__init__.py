"""Fair comparisons of losses, optimizers, learning rates and seeds, from one plan."""
