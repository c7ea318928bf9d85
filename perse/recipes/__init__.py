"""Recipes: functions that return one frozen configuration of a run each."""

from perse.recipes.builtin import RECIPES, laptop, recipe_named, tiny
from perse.recipes.filming import Filming
from perse.recipes.recipe import Recipe
from perse.recipes.resources import ClusterUse, WorkerPool

__all__ = ["RECIPES", "ClusterUse", "Filming", "Recipe", "WorkerPool", "laptop", "recipe_named", "tiny"]
