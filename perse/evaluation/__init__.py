"""Metrics on unseen poses and on interpolations."""
