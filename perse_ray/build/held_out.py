"""Held-out synthetic set: edits of the same person with prompts that no training has used (P 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from perse.attributes import Category
from perse.data import AttributePrompt, archive
from perse_ray.build.room import synthesis_claims
from perse_ray.build.run import BuildRun
from perse_ray.build.shared_clips import SharedClips
from perse_ray.rows import on_ray_data
from perse_ray.runtime.placement import await_room
from perse_ray.synthesis.synthesize import MAX_REPLACEMENTS, synthesize


@dataclass(frozen=True, kw_only=True)
class HeldOutSupply:
    """Prompts of the training's streams behind all that may have replaced a rejected one.

    Attributes:
        trained: how many of each category the training planned.
        count: wanted of each; seed: of the streams.
    """

    trained: tuple[tuple[Category, int], ...]
    count: int
    seed: int = 0

    def plan(self) -> list[AttributePrompt]:
        return [prompt for category, n in self.trained if n for prompt in islice(self._stream(category), self.count)]

    def reserves(self, category: Category) -> Iterator[AttributePrompt]:
        return islice(self._stream(category), self.count, None)

    def _stream(self, category: Category) -> Iterator[AttributePrompt]:
        from perse.synthesis.prompts import prompt_stream

        used = dict(self.trained)[category] * (1 + MAX_REPLACEMENTS)
        return islice(prompt_stream(category, self.seed), used, None)


def synthesize_held_out(run: BuildRun, shared: SharedClips, count: int) -> tuple[str, ...]:
    """Content keys of the held-out subjects' clips; those that are missing are made, on the same Ray Data pipeline."""
    recipe, workspace = run.recipe, shared.workspace
    supply = HeldOutSupply(trained=recipe.prompts.counts, count=count, seed=recipe.prompts.seed)
    run.start_ray()
    await_room(synthesis_claims(recipe.cluster), recipe.cluster.placement_limit_s)
    plan = archive.load_prompts(workspace)
    try:
        found = synthesize(workspace, run.synthesis_config, supply, execute=on_ray_data.run, show=run.request.show)
    finally:
        archive.save_prompts(workspace, plan)  # the workspace's list is the training's
    return tuple(subject.clip for subject in found.subjects if subject.clip not in shared.clips)
