"""The paper's Tables 1 and 2 with its baselines, on one set of clips, at equal time and at equal steps.

    python -m benchmarks.tables --workspace runs/demo
    python -m benchmarks.tables --workspace runs/demo --categories beard,hat --minutes 2 --steps 200 --out runs/tables
    python -m benchmarks.tables --recipe laptop --workspace runs/tables-clips      makes the clips first, if need be

Contenders: ours with part bases, ours with the paper's networks, PEGASUS, conditional SplattingAvatar and conditional
INSTA (`perse.avatar.baselines`), at widths that a laptop can train (`CONTENDERS`). All are trained by stage 1 of the
same training, on the same frames of the same subjects, from the same features; none is fine-tuned on interpolations.
The last subject of each category is held out: nobody trains on it, and Table 2's distances of sets are from these.

*Equal time* is processor time of the training process, one thread, so that other programs on the machine do not count.
A contender's number of steps is fixed by a pilot of ten steps before its schedules begin. What is finished is kept in
--out: repeat the command after an interruption.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from perse.attributes import Category
from perse.avatar import AvatarConfig, load_avatar, save_avatar
from perse.avatar.baselines import InstaConfig, PegasusConfig, SplattingAvatarConfig
from perse.avatar.decoder import DecoderConfig
from perse.data.images import encode_image
from perse.data.photograph import read_photograph
from perse.data.workspace import Workspace
from perse.errors import InputError, PerseError
from perse.evaluation import interpolation_pairs
from perse.evaluation.measurements import spread
from perse.evaluation.metrics import Metric, MetricTable
from perse.evaluation.protocols import Instruments, ProtocolMeasurer, table1_row, table2_row
from perse.recipes import Recipe, recipe_named
from perse.recipes.ablations import SMALL_NETWORKS
from perse.report.sheets import Tile, contact_sheet
from perse.training import LearningRates
from perse_ray.build.contenders import Contender, steps_in, train_contender
from perse_ray.build.request import BuildRequest
from perse_ray.build.shared_clips import SharedClips
from perse_ray.runtime.shared_storage import check_location

PEGASUS = PegasusConfig(
    deform_width=64, deform_depth=3, color_width=64, color_depth=4, color_skip=2, pose_width=32, pose_depth=2
)
BASELINES: dict[str, DecoderConfig] = {
    "ours, networks": SMALL_NETWORKS,
    "PEGASUS": PEGASUS,
    "cond. SplattingAvatar": SplattingAvatarConfig(width=64, depth=4),
    "cond. INSTA": InstaConfig(width=64, depth=4, levels=6, samples=16, window_px=32),
}
"""Every network 64 wide, as the `networks` of our laptop measurements; the paper's are 128 to 512."""

RATES = LearningRates(latents=2e-4)
"""Of contenders whose networks read the codes: codes must move, which part bases need not."""

RATES_OF = {"cond. INSTA": replace(RATES, features=1e-2, networks=1e-2)}
"""Instant-NGP's rate for grid and network. Nothing of this was searched for: one choice each."""


def contenders(recipe: Recipe) -> dict[str, Contender]:
    """All rows, in order."""
    ours = Contender(name="ours, part bases", avatar=recipe.avatar, start=recipe.start, training=recipe.training)
    others = (
        Contender(name=name, avatar=AvatarConfig(latents=recipe.avatar.latents, decoder=decoder), start=recipe.start,
                  training=replace(recipe.training, rates=RATES_OF.get(name, RATES)))
        for name, decoder in BASELINES.items()
    )  # fmt: skip
    return {one.name: one for one in (ours, *others)}


class Comparison:
    """All contenders under one budget."""

    def __init__(self, train: SharedClips, held_out: SharedClips, out: Path, options: argparse.Namespace) -> None:
        self._train, self._held_out, self._out, self._options = train, held_out, out, options
        self._instruments = Instruments.at_hand()

    def row(self, contender: Contender, budget: str, seed: int) -> dict[str, object]:
        """A contender's numbers: its training as found or made now, and the same of its measurements."""
        options = self._options
        place = self._place(contender.name, budget, seed)
        file = place / f"row-{options.frames}-{options.pairs}-{options.poses}.json"
        if not file.is_file():
            print(f"{budget}, {contender.name}, seed {seed}", flush=True)
            place.mkdir(parents=True, exist_ok=True)
            cost = self._trained(contender, budget, seed, place)
            file.write_text(json.dumps({"cost": cost, **self._measured(place, seed)}, indent=1))
        return dict(json.loads(file.read_text()))

    def _place(self, contender: str, budget: str, seed: int) -> Path:
        """Of an avatar: another budget is another one."""
        size = f"{self._options.minutes:g}" if budget == "time" else f"{self._options.steps}"
        name = contender.replace(" ", "-").replace(",", "")
        return self._out / f"{budget}-{size}-{name}-{seed}"

    def _trained(self, contender: Contender, budget: str, seed: int, place: Path) -> dict[str, float]:
        """What the training cost; its avatar lies beside."""
        options, file = self._options, place / "cost.json"
        if not file.is_file():
            steps = options.steps
            if budget == "time":
                steps = steps_in(self._train, contender, 60 * options.minutes, seed)
            done = train_contender(self._train, contender, steps, seed, lambda line: print(line, flush=True))
            save_avatar(done.avatar, place)
            cost = {"steps": done.steps, "CPU s": done.cpu_s, "wall s": done.wall_s, "loss": done.loss}
            file.write_text(json.dumps({name: round(value, 4) for name, value in cost.items()}))
        return dict(json.loads(file.read_text()))

    def _measured(self, place: Path, seed: int) -> dict[str, object]:
        measurer = self.measurer(place)
        unseen = [measurer.unseen(row) for row in range(len(self._train.subjects))]
        ways = [measurer.way(a, b) for a, b in interpolation_pairs(self._train.subjects, self._options.pairs, seed)]
        real = measurer.held_out(self._held_out.unseen())
        missing = self._instruments.missing
        tables = {"table 1": table1_row(unseen, missing), "table 2": table2_row(ways, real, missing)}
        print(f"  PSNR {tables['table 1']['PSNR'].shown(2)}", flush=True)
        return {t: {c: asdict(m) for c, m in row.items()} for t, row in tables.items()}

    def measurer(self, place: Path) -> ProtocolMeasurer:
        """Of a finished row's avatar."""
        return ProtocolMeasurer(
            avatar=load_avatar(place).eval(), clips=self._train.unseen(), rasterizer=self._train.recipe.rasterizer,
            instruments=self._instruments, frames=self._options.frames, poses=self._options.poses,
        )  # fmt: skip

    def sheet(self, budget: str, names: list[str]) -> np.ndarray:
        """Unseen poses: the clips above, every contender below; a column for the reference and each category."""
        subjects = self._train.subjects
        rows = [0, *(next(i for i, s in enumerate(subjects) if s.category is c) for c in self._options.categories)]
        clips = self._train.unseen()
        frame = spread(len(clips[0]), self._options.frames)[1]
        tiles = [
            Tile(np.ascontiguousarray(clips[row].images[frame]), subjects[row].text or "reference") for row in rows
        ]
        for name in names:
            measurer = self.measurer(self._place(name, budget, 0))
            tiles += [Tile(measurer.pictures(row, [frame])[0], name) for row in rows]
        return contact_sheet(tiles, columns=len(rows))


def merged(rows: list[dict[str, Metric]]) -> dict[str, Metric]:
    """One row of several seeds: the mean, with the seeds' range as its interval."""
    if len(rows) == 1:
        return rows[0]
    out = {}
    for name, first in rows[0].items():
        values = [row[name].value for row in rows]
        known = [value for value in values if value is not None and not np.isnan(value)]
        out[name] = replace(first, value=float(np.mean(known)), low=min(known), high=max(known)) if known else first
    return out


def clips_of(options: argparse.Namespace, recipe: Recipe) -> SharedClips:
    """The workspace's, made first where there are none."""
    workspace = Workspace.open(options.workspace)
    if workspace.manifest("synthesize") is None:
        planned = dict(recipe.prompts.counts)
        few = [category.value for category in options.categories if planned.get(category, 0) < 3]
        if few:
            raise InputError(f"recipe {recipe.name} plans fewer than three subjects of {few[0]}; choose others")
        check_location(options.workspace)
        return SharedClips.made(
            BuildRequest(recipe=recipe, photograph=read_photograph(options.portrait), workspace=workspace)
        )
    return SharedClips.of(workspace, recipe)


def markdown(title: str, rows: dict[str, list[dict[str, object]]], table: str) -> str:
    """A table of all rows with what they cost."""
    found = {}
    for name, seeds in rows.items():
        cells = merged([{c: Metric(**m) for c, m in one[table].items()} for one in seeds])  # type: ignore[attr-defined]
        cost = seeds[0]["cost"]
        assert isinstance(cost, dict)
        found[f"{name} ({cost['steps']:.0f} steps, {cost['CPU s']:.0f} s)"] = cells
    return MetricTable(title, found).markdown()


def main() -> None:
    """Train, measure, print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--recipe", default="laptop", help="whose clips, points and training")
    options.add_argument("--workspace", default="runs/tables-clips", help="of the clips; a finished build's are taken")
    options.add_argument("--portrait", help="photograph for new clips; the sample portrait if left out")
    options.add_argument("--categories", default="beard,hair,hat", help="which, separated by commas")
    options.add_argument("--minutes", type=float, default=2.5, help="processor minutes of each training, equal time")
    options.add_argument("--steps", type=int, default=250, help="steps of each training, equal steps")
    options.add_argument("--budgets", default="time,steps", help="time, steps or both")
    options.add_argument("--contenders", default="", help="only those whose names contain one of these")
    options.add_argument("--seeds", type=int, default=1, help="trainings of each contender")
    options.add_argument("--frames", type=int, default=4, help="unseen frames of a subject")
    options.add_argument("--pairs", type=int, default=2, help="interpolations of a category")
    options.add_argument("--poses", type=int, default=2, help="poses of an interpolation")
    options.add_argument("--threads", type=int, default=1, help="of each training")
    options.add_argument("--out", type=Path, default=Path("runs/tables"), help="rows, tables and pictures")
    chosen = options.parse_args()
    try:
        compare(chosen)
    except PerseError as error:
        raise SystemExit(f"error: {' '.join(str(error).split())}") from None


def _check(chosen: argparse.Namespace) -> None:
    """Make categories of their names, and refuse what cannot be asked."""
    names = chosen.categories.split(",")
    if not set(names) <= {category.value for category in Category}:
        raise InputError(f"--categories are some of {','.join(Category)}, got {chosen.categories!r}")
    chosen.categories = [Category(name) for name in names]
    if not set(chosen.budgets.split(",")) <= {"time", "steps"}:
        raise InputError(f"--budgets are time, steps or time,steps, got {chosen.budgets!r}")
    if min(chosen.steps, chosen.seeds, chosen.frames, chosen.pairs, chosen.poses) < 1 or chosen.minutes <= 0:
        raise InputError("--steps, --seeds, --frames, --pairs, --poses and --minutes must be positive")


def compare(chosen: argparse.Namespace) -> None:
    """All rows of both budgets, their tables and their pictures."""
    _check(chosen)
    torch.set_num_threads(chosen.threads)
    recipe = recipe_named(chosen.recipe)
    train, held_out = clips_of(chosen, recipe).divided(chosen.categories, 1)
    comparison = Comparison(train, held_out, chosen.out, chosen)
    wanted = [word.strip() for word in chosen.contenders.split(",")]
    everybody = {name: one for name, one in contenders(recipe).items() if any(word in name for word in wanted)}
    if not everybody:
        raise InputError(f"no contender is called {chosen.contenders!r}; there are {', '.join(contenders(recipe))}")
    text = []
    for budget in chosen.budgets.split(","):
        rows = {
            name: [comparison.row(one, budget, seed) for seed in range(chosen.seeds)] for name, one in everybody.items()
        }
        what = f"{chosen.minutes:g} processor minutes each" if budget == "time" else f"{chosen.steps} steps each"
        text += [markdown(f"Table 1, unseen poses, {what}", rows, "table 1"), ""]
        text += [markdown(f"Table 2, interpolations, {what}", rows, "table 2"), ""]
        (chosen.out / f"{budget}.png").write_bytes(encode_image(comparison.sheet(budget, list(everybody))))
        (chosen.out / "tables.md").write_text("\n".join(text))
    print("\n" + "\n".join(text))


if __name__ == "__main__":
    main()
