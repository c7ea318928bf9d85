"""Training on Ray Train: the loop around a step, and morph targets computed before they are needed."""
