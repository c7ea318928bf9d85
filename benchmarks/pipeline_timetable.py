"""The timetable of a synthesis: when each edit, verdict and clip would begin and end, computed and not run.

    python -m benchmarks.pipeline_timetable [--gpus 2 8 64] [--lots 20]

Every piece of work takes what `--plan` says. Who works, on what and when is decided by the code that a build runs:
workers by `balanced`, batches by `batch_sizes`, replacements and work ahead of need by `Demand`. What Ray costs, the
loading of weights, and disks are left out, so this is what the rules allow at best; `cluster_simulation` runs them. One
thing is simpler here: a replacement is a batch of its own, also while there is plenty to do.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from statistics import fmean

from perse.recipes import recipe_named
from perse.recipes.recipe import Recipe
from perse.synthesis.prompts import PAPER_COUNTS, PromptPlan
from perse_ray.build.balance import balanced, bound_s
from perse_ray.build.plan import Rates, synthesis_balance, synthesis_s
from perse_ray.build.room import Node, equal_nodes
from perse_ray.rows.batch_sizes import batch_sizes
from perse_ray.synthesis.demand import Demand, refusal_rate
from perse_ray.synthesis.synthesize import MAX_REPLACEMENTS

PROMPTS_PER_GPU = 15
"""The paper's 957 on 64 GPUs; as many for each where there are fewer."""

Row = tuple[int, int]
"""Category and number of a prompt."""


@dataclass(frozen=True)
class Timetable:
    """What came of it.

    Attributes:
        workers: of each stage.
        edits, needed: tried, and of these what counts; the rest was begun ahead of need and in vain.
        wall_s: from the first edit's beginning to the last clip's end.
        bound_s: what the slowest stage needs for the edits if it is always busy.
        planned_s: what `--plan` says of `wall_s`.
        busy: share of the slowest stage's workers that was at work, from its first row to its last one's end.
    """

    workers: dict[str, int]
    edits: int
    needed: int
    wall_s: float
    bound_s: float
    planned_s: float
    busy: float


def recipe_for(gpus: int) -> Recipe:
    """The paper's recipe with as many prompts as so many GPUs are given."""
    wanted = min(957, PROMPTS_PER_GPU * gpus)
    counts = tuple((category, max(1, round(count * wanted / 957))) for category, count in PAPER_COUNTS)
    return replace(recipe_named("paper"), prompts=PromptPlan(counts))


def timetable(
    recipe: Recipe, nodes: Sequence[Node], refused_share: float = Rates().refused_share, lot: str = ""
) -> Timetable:
    """Of a recipe on a cluster.

    Args:
        lot: draws other edits to be refused.
    """
    stages = synthesis_balance(recipe)
    sizes = balanced(stages, nodes)
    line = _Line(
        seconds={stage.name: stage.seconds for stage in stages},
        free=dict(sizes),
        demands=[Demand(count, (1 + MAX_REPLACEMENTS) * count) for _, count in recipe.prompts.counts],
        editors=sizes["edit"],
        refused_share=refused_share,
        lot=lot,
    )
    wall_s = line.run(recipe.cluster.edit.batch_size)
    slowest = max(stages, key=lambda stage: stage.seconds / sizes[stage.name]).name
    begin, end, worked = line.span[slowest]
    return Timetable(
        workers=sizes,
        edits=line.edits,
        needed=sum(demand.needed for demand in line.demands),
        wall_s=wall_s,
        bound_s=bound_s(stages, sizes, line.edits),
        planned_s=synthesis_s(recipe, nodes)[1],
        busy=worked / (sizes[slowest] * (end - begin)),
    )


@dataclass
class _Line:
    """Editors, screens and animators with what waits before each of them."""

    seconds: dict[str, float]
    free: dict[str, int]
    demands: list[Demand]
    editors: int
    refused_share: float
    lot: str
    edits: int = 0
    span: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def run(self, batch: int) -> float:
        """All rows through all stages; the time of the last one's end."""
        self.waiting: dict[str, deque[list[Row]]] = {name: deque() for name in self.seconds}
        self.events: list[tuple[float, int, str, list[Row]]] = []
        rows = deque(self._needed())
        for size in batch_sizes(len(rows), batch, self.editors):
            self.waiting["edit"].append([rows.popleft() for _ in range(size)])
        now, count = 0.0, 0
        while True:
            for name, queue in self.waiting.items():
                while queue and self.free[name]:
                    work = queue.popleft()
                    end = self._begun(name, now, work)
                    count += 1
                    heapq.heappush(self.events, (end, count, name, work))
            if not self.events:
                return now
            now, _, name, done = heapq.heappop(self.events)
            self.free[name] += 1
            self._done(name, done)

    def _begun(self, name: str, now: float, work: list[Row]) -> float:
        self.free[name] -= 1
        worked_s = len(work) * self.seconds[name]
        begin, end, before = self.span.get(name, (now, now, 0.0))
        self.span[name] = (begin, max(end, now + worked_s), before + worked_s)
        self.edits += len(work) * (name == "edit")
        return now + worked_s

    def _done(self, name: str, rows: list[Row]) -> None:
        if name == "edit":
            self.waiting["screen"].extend([row] for row in rows)
        if name == "screen":
            ((category, number),) = rows
            if random.Random(f"{self.lot}{category} {number}").random() < self.refused_share:
                self.demands[category].refuse(number)
            else:
                self.demands[category].accept(number)
                self.waiting["animate"].append(rows)
            self.waiting["edit"].extend([row] for row in (*self._needed(), *self._ahead()))

    def _needed(self) -> Iterator[Row]:
        for category, demand in enumerate(self.demands):
            while (number := demand.begin_needed()) is not None:
                yield category, number

    def _ahead(self) -> list[Row]:
        idle = self.editors - sum(demand.waiting for demand in self.demands)
        return list(islice(self._likely(), max(idle, 0)))

    def _likely(self) -> Iterator[Row]:
        rate = refusal_rate(self.demands)
        for category, demand in enumerate(self.demands):
            while (number := demand.begin_ahead(rate)) is not None:
                yield category, number


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--gpus", type=int, nargs="+", default=[2, 8, 64])
    options.add_argument("--lots", type=int, default=20, help="draws of refusals, for the spread")
    chosen = options.parse_args()
    print(
        "| GPUs | workers | edits | of them in vain | wall, min | wall / bound | --plan / wall | slowest stage busy |"
    )
    print("|---" * 8 + "|")
    spread = []
    for gpus in chosen.gpus:
        one = timetable(recipe_for(gpus), equal_nodes(1, gpus))
        workers = ", ".join(f"{count} {name}" for name, count in one.workers.items())
        print(f"| {gpus} | {workers} | {one.edits} | {one.edits - one.needed} | {one.wall_s / 60:.1f} | "
              f"{one.wall_s / one.bound_s:.3f} | {one.planned_s / one.wall_s:.2f} | {one.busy:.1%} |")  # fmt: skip
        drawn = [timetable(recipe_for(gpus), equal_nodes(1, gpus), lot=f"{lot} ") for lot in range(chosen.lots)]
        ratios = [each.wall_s / each.bound_s for each in drawn]
        if ratios:
            spread.append(f"{gpus} GPUs, wall / bound over {len(ratios)} draws of refusals: {min(ratios):.3f} to "
                          f"{max(ratios):.3f}, mean {fmean(ratios):.3f}")  # fmt: skip
    print("", *spread, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
