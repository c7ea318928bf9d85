"""A run is a recipe: a function that returns one frozen configuration."""
