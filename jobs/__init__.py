"""Commands. Each file is a docstring with the exact command, a recipe and one call."""
