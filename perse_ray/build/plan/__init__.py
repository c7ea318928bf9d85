"""Plan of a recipe's run: stages, rows, workers, downloads, GPU-hours and disk. Nothing is started for it.

Durations are estimates and say so. They rest on `Rates`; put in your own measurements with `dataclasses.replace`.
"""

from perse_ray.build.plan.description import describe_plan
from perse_ray.build.plan.rates import Rates
from perse_ray.build.plan.sizes import decoded_gib, disk_gib, kept_gib, watched_gib
from perse_ray.build.plan.stages import (
    PlannedStage,
    PlannedVideo,
    capture_stages,
    planned_stages,
    synthesis_balance,
    synthesis_s,
    without_edits,
)

__all__ = [
    "PlannedStage",
    "PlannedVideo",
    "Rates",
    "capture_stages",
    "decoded_gib",
    "describe_plan",
    "disk_gib",
    "kept_gib",
    "planned_stages",
    "synthesis_balance",
    "synthesis_s",
    "watched_gib",
    "without_edits",
]
