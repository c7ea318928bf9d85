"""The training step, schedules and checkpoints; nothing of Ray."""
