"""Text of a plan, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perse.attributes import Category
from perse.data.frame_stream import DECODERS
from perse.recipes import Recipe
from perse.recipes.stand_ins import stand_ins
from perse.synthesis.production import DiffusionEditorConfig
from perse.synthesis.production.model_store import Weights, missing_patterns, weights_in
from perse_ray.build.plan.costs import animator_of, clip_cost, editor_of, training_image_s
from perse_ray.build.plan.rates import ESTIMATES, Rates
from perse_ray.build.plan.sizes import clips_gib, decoded_gib, edits_gib, kept_gib, watched_gib
from perse_ray.build.plan.stages import PlannedStage, PlannedVideo, capture_stages, planned_stages, synthesis_s
from perse_ray.build.room import Node, finetuning_claims, morph_actors, synthesis_claims, training_claims
from perse_ray.runtime.claims import fits
from perse_ray.runtime.progress import readable_s

UNBOUNDED = 1000
"""Pools of so many workers are as large as the cluster."""


def describe_plan(
    recipe: Recipe, rates: Rates = ESTIMATES, nodes: Sequence[Node] = (), video: PlannedVideo | None = None
) -> str:
    """The plan as text, for people.

    Args:
        nodes: of the cluster that is reckoned with; without any, each pool has its largest number.
        video: of the person, where there is one.
    """
    stages = planned_stages(recipe, rates, nodes)
    before = [] if video is None else capture_stages(recipe, video, rates)
    lines = [
        f"recipe {recipe.name}",
        *_cluster(recipe, nodes),
        "",
        *_editors(recipe),
        "",
        *_animators(recipe, rates),
        "",
    ]
    lines += [f"{'stage':9} {'work':28} {'workers':8} {'each claims':34} {'GPU-hours':>9} {'core-hours':>10}  at best"]
    lines += [_line(stage, bool(nodes)) for stage in [*before, *stages]]
    gpu, cores = (sum(getattr(s, name) for s in [*before, *stages]) for name in ("gpu_hours", "core_hours"))
    first = synthesis_s(recipe, nodes, rates)[1] if nodes else max(stage.wall_s for stage in stages[:3])
    together = _later_s(before) + first + _later_s(stages[3:])
    lines += [f"{'together':82} {gpu:9.1f} {cores:10.1f}  {readable_s(together)}", ""]
    lines += [*_downloads(recipe), "", *_disk(recipe, rates), *_memory(recipe, rates), ""]
    lines += [*_synthesis(recipe, rates, nodes), *_most(recipe, nodes)]
    lines += [*_stand_ins(recipe)]
    lines += ["hours are estimates from the rates in perse_ray/build/plan/rates.py, not measurements of your machines"]
    return "\n".join(lines)


def _cluster(recipe: Recipe, nodes: Sequence[Node]) -> Iterator[str]:
    """Which cluster the plan is for, and what it lacks."""
    if not nodes:
        return
    each = [f"{n['GPU']:g} GPU, {n['CPU']:g} CPU, {n['memory'] / 2**30:g} GiB" for n in nodes]
    yield "on " + "; ".join(f"{each.count(one)} × ({one})" for one in dict.fromkeys(each))
    needs = {"synthesis": synthesis_claims(recipe.cluster), "training": training_claims(recipe.cluster)}
    if recipe.finetuning is not None:
        needs["fine-tuning"] = finetuning_claims(recipe.cluster)
    for stage, claims in needs.items():
        if not fits(nodes, claims):
            yield f"TOO SMALL: {stage} needs {'; '.join(str(claim) for claim in claims)}, and a build would refuse"


def _editors(recipe: Recipe) -> Iterator[str]:
    for category, count in recipe.prompts.counts:
        editor = editor_of(recipe, category)
        how = type(editor).__name__.removesuffix("Config")
        if isinstance(editor, DiffusionEditorConfig):
            how += f" ({type(editor.inpainter).__name__.removesuffix('Config')})"
        yield f"  {count:4} {category.value:10} by {how}"


def _animators(recipe: Recipe, rates: Rates) -> Iterator[str]:
    """Which category is filmed by what, and what one of its clips costs; then the weights of each animator."""
    counts: list[tuple[Category | None, int]] = [(None, 1), *recipe.prompts.counts]
    weights = dict[str, None]()
    for category, count in counts:
        animator = animator_of(recipe, category)
        gpu_s, core_s = clip_cost(animator, recipe, rates)
        cost = ", ".join(
            text for text, s in ((f"{gpu_s:.0f} GPU-s", gpu_s), (f"{core_s:.0f} core-s", core_s)) if s >= 0.5
        )
        name = category.value if category is not None else "reference"
        how = type(animator).__name__.removesuffix("Config")
        yield f"  {count:4} {name:10} filmed by {how}, {cost or 'under a second'} a clip"
        which = "; ".join(f"{one.name} ({one.licence})" for one in weights_in(animator)) or "no weights"
        weights[f"       {how}: {which}"] = None
    yield from weights


def _line(stage: PlannedStage, on_nodes: bool) -> str:
    if stage.pool is None:
        workers, claims = "driver", "all threads"
    else:
        known = on_nodes or stage.name in ("train", "finetune")
        low, high = (stage.workers, stage.workers) if known else stage.pool.workers
        workers = f"{low}" if low == high else f"{low}–{high}"
        claims = f"{stage.pool.cpus:g} CPU, {stage.pool.gpus:g} GPU, {stage.pool.memory_gib:g} GiB, "
        claims += f"batch {stage.pool.batch_size}"
    hours = f"{stage.gpu_hours:9.1f} {stage.core_hours:10.1f}"
    return f"{stage.name:9} {stage.work:28} {workers:8} {claims:34} {hours}  {readable_s(stage.wall_s)}"


def _later_s(stages: Sequence[PlannedStage]) -> float:
    """One after another, but for fine-tuning and its morphs, of which the slower one counts."""
    together = [stage.wall_s for stage in stages if stage.name in ("morph", "finetune")]
    return sum(s.wall_s for s in stages if s.name not in ("morph", "finetune")) + max(together, default=0.0)


def _downloads(recipe: Recipe) -> Iterator[str]:
    wanted = list(weights_in(recipe))
    if not wanted:
        yield "downloads: none"
        return
    yield "weights"
    missing, own = 0.0, [weights for weights in wanted if weights.entry is None or weights.folder is not None]
    for weights in own:
        where = "here " if weights.place().exists() else "ABSENT"
        yield f"  {where} {weights.name} ({weights.licence}): {weights.place()}"
    for weights in wanted:
        entry = weights.entry
        if entry is None or weights.folder is not None:
            continue
        absent = _absent(weights)
        missing += entry.size_gib if absent else 0
        use = "commercial use allowed" if entry.commercial else "NON-COMMERCIAL"
        yield f"  {'fetch' if absent else 'here ':5} {entry.size_gib:5.1f} GiB  {entry.name} ({entry.licence}; {use})"
    if missing:
        yield f"  {missing:.1f} GiB to fetch: perse models fetch NAME …"
    elif all(weights.place().exists() for weights in own):
        yield "  all are here"


def _absent(weights: Weights) -> bool:
    return (
        weights.entry is not None and weights.folder is None and bool(missing_patterns(weights.entry, weights.place()))
    )


def _disk(recipe: Recipe, rates: Rates) -> Iterator[str]:
    clips, edits = clips_gib(recipe, rates), edits_gib(recipe, rates)
    yield f"disk: clips {clips:.1f} GiB, edits {edits:.1f} GiB, and a few checkpoints"


def _memory(recipe: Recipe, rates: Rates) -> Iterator[str]:
    """What a training worker and the driver need besides their models."""
    decoded, kept = decoded_gib(recipe), kept_gib(recipe)
    if decoded <= kept:
        yield f"memory of the driver and of a training worker: {decoded:.1f} GiB, all frames decoded once"
    else:
        rate = DECODERS / (rates.decode_s_per_megapixel * recipe.filming.size_px**2 / 1e6)
        yield (
            f"memory of a training worker: {kept:.1f} GiB of decoded frames; all would be {decoded:.1f} GiB, so they "
            f"are streamed: it needs {1 / training_image_s(recipe, rates):.1f} frames/s, {DECODERS} threads decode "
            f"about {rate:.0f}"
        )
    who = "a worker" if recipe.cluster.set_up.workers[1] else "the driver"
    yield f"memory of {who} while the avatar is set up: {watched_gib(recipe):.1f} GiB of frames more"


def _synthesis(recipe: Recipe, rates: Rates, nodes: Sequence[Node]) -> Iterator[str]:
    """What the first three stages take together, side by side."""
    if nodes:
        bound, whole = synthesis_s(recipe, nodes, rates)
        yield (
            f"edits and clips take {readable_s(bound)} at best, as long as the slowest stage is busy with the prompts "
            f"and {rates.refused_share:.0%} refused ones' replacements, and {readable_s(whole)} from the first edit's "
            "beginning to the last clip's end; loading of weights comes on top"
        )


def _most(recipe: Recipe, nodes: Sequence[Node]) -> Iterator[str]:
    """What the cluster must have at once, so that somebody can see whether it has."""
    cluster = recipe.cluster
    pools = (cluster.edit, cluster.screen, cluster.animate)
    least = sum(pool.workers[0] * pool.gpus for pool in pools), sum(pool.workers[0] * pool.cpus for pool in pools)
    most = sum(pool.workers[1] * pool.gpus for pool in pools), sum(pool.workers[1] * pool.cpus for pool in pools)
    usable = f"{most[0]:g} and {most[1]:g}" if max(most) < UNBOUNDED else "all that there are"
    yield f"synthesis needs {least[0]:g} GPU and {least[1]:g} CPU at least and can use {usable}"
    training = cluster.train_workers * cluster.train.gpus, cluster.train_workers * cluster.train.cpus
    yield f"training needs {training[0]:g} GPU and {training[1]:g} CPU"
    if recipe.finetuning is not None:
        low, high = morph_actors(cluster, nodes) if nodes else cluster.morph.workers
        many = f"{low} or more" if high >= UNBOUNDED else f"{low}" if low == high else f"{low} to {high}"
        yield (
            f"fine-tuning needs {training[0] + low * cluster.morph.gpus:g} GPU and "
            f"{training[1] + low * cluster.morph.cpus:g} CPU: the same, and {many} morph actors for all of them"
        )


def _stand_ins(recipe: Recipe) -> Iterator[str]:
    found = list(stand_ins(recipe))
    if found:
        yield "not the paper's:"
        yield from (f"  {box}: {there}; the paper has {papers}" for box, there, papers in found)
        yield ""
