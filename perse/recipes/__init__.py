"""A run is a recipe: a function that returns one frozen configuration."""

from perse.recipes.builtin import RECIPES, laptop, recipe_named, tiny
from perse.recipes.filming import Filming
from perse.recipes.recipe import Recipe
from perse.recipes.resources import ClusterUse, WorkerPool

__all__ = ["RECIPES", "ClusterUse", "Filming", "Recipe", "WorkerPool", "laptop", "recipe_named", "tiny"]
