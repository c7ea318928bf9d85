"""What a recipe would run: stages, rows, workers, downloads, GPU-hours and disk. Nothing is started for it.

Durations are estimates and say so. The rates below are what they rest on, each with its source; put in your own
measurements with `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from perse.attributes import Category
from perse.data.clip_file import DECODED_BYTES
from perse.data.frame_stream import DECODERS
from perse.morphing import DiffMorpherConfig
from perse.recipes import Recipe
from perse.recipes.resources import WorkerPool
from perse.recipes.stand_ins import stand_ins
from perse.synthesis.production import (
    AnimatorByCategoryConfig,
    DiffusionEditorConfig,
    EditorByCategoryConfig,
    LandmarkSegmenterConfig,
    LivePortraitConfig,
)
from perse.synthesis.production.model_store import Weights, missing_patterns, weights_in
from perse.synthesis.production.portrait_champ import PortraitChampConfig
from perse_ray.build.balance import BalancedStage, balanced, bound_s
from perse_ray.build.room import Node, finetuning_claims, held_workers, morph_actors, synthesis_claims, training_claims
from perse_ray.runtime.claims import fits
from perse_ray.runtime.progress import readable_s

UNBOUNDED = 1000
"""Pools of so many workers are as large as the cluster."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds of one worker for one unit of work."""

    procedural_edit_s: float = 0.6
    """Measured: 25 to 600 ms on one core (docs/reference.md#procedural-edits)."""
    diffusion_step_s: float = 0.35
    """One denoising step of FLUX or SDXL at their working sizes on one A100, without offloading; a guess from public
    timings, to be replaced by a measurement."""
    screen_s: float = 0.6
    """Landmarks, dlib's descriptor and CLIP on one core."""
    frame_s_per_megapixel: float = 0.25
    """The procedural animator on one core: 10 to 20 ms a frame of 256 px
    (docs/reference.md#fitting-and-animating-a-portrait)."""
    liveportrait_frame_s: float = 0.0131
    """W, G and S for one frame: 5.2 + 7.6 + 0.31 ms on an RTX 4090, compiled, as its authors publish."""
    champ_pass_s: float = 0.02
    """portrait-Champ's denoiser, both domains, one frame of 512 px and one pass, on one A100; a guess from 2.4 TFLOP at
    120 TFLOP/s."""
    parse_frame_s: float = 0.02
    """A SegFormer on one frame, on such a GPU; a guess."""
    landmark_parse_frame_s: float = 0.8
    """Measured: CPU time of our own parser on one frame of 512 px."""
    gpu_flop_per_s: float = 15e12
    """Of a decoder's networks in float32 on an A6000, whose peak is 38 TFLOP/s; a guess, to be replaced by
    `python -m benchmarks.gpu`."""
    cpu_flop_per_s: float = 5e10
    """The same on two laptop cores."""
    cpu_image_s: float = 0.045
    """What else one training image costs on a laptop: posing, rasterization and losses (docs/performance.md)."""
    gpu_image_s: float = 0.03
    """The same on a GPU at 512 px with 130,000 points; a guess, as above."""
    morph_s: float = 0.15
    """One morph with all its α by warping, at 256 px, on one core."""
    unet_row_s: float = 0.012
    """One picture through Stable Diffusion's UNet at 512 px, in a batch, on one A100; a guess."""
    adapter_step_s: float = 0.35
    """One step of a subject's adapter, eight frames at 512 px, on one A100; a guess."""
    encode_s: float = 0.05
    """CLIP on one picture and its sentence."""
    refused_share: float = 0.05
    """Of the edits, which the screen refuses; a guess, and each is one more edit."""
    set_up_subject_s: float = 1.5
    """Hull and first colours of one watched subject at 512 px, on 16 cores; a guess from 0.3 s at 256 px on two."""
    gpu_render_s: float = 0.02
    """One evaluated picture on a GPU at 512 px; a guess."""
    find_frame_s: float = 0.08
    """Faces, landmarks and fit of one frame of a video, on one core (docs/motion_from_video.md)."""
    capture_frame_s: float = 1.7
    """Measured: CPU time of one frame of a video that becomes one of the clip's: laid on the body, parsed, cut out."""
    cpu_render_s: float = 0.03
    """One evaluated picture of 256 px on two cores, with its measures."""
    clip_bytes_per_pixel: float = 1.05
    """Measured: 4.4 MB for 65 frames of 256 px."""
    decode_s_per_megapixel: float = 0.025
    """Reading and decoding frames of a clip that is streamed, one thread (`benchmarks/clip_stream.py`)."""
    edit_bytes_per_pixel: float = 6.0
    """Pictures and part masks of one edit, with attachments."""


@dataclass(frozen=True)
class PlannedStage:
    """One line of the plan.

    Attributes:
        name: of the stage.
        work: rows, images or steps, and what they are.
        units: how many.
        pool: who does it; None is the driver's own process.
        seconds: of one worker for one unit.
        workers: at most, at the same time.
    """

    name: str
    work: str
    units: int
    pool: WorkerPool | None
    seconds: float
    workers: int

    @property
    def gpu_hours(self) -> float:
        """Of all workers together."""
        return self.units * self.seconds * (self.pool.gpus if self.pool else 0.0) / 3600

    @property
    def core_hours(self) -> float:
        """Of all workers together, where no GPU is used."""
        return 0.0 if self.gpu_hours else self.units * self.seconds / 3600

    @property
    def wall_s(self) -> float:
        """With all its workers busy."""
        return self.units * self.seconds / max(self.workers, 1)


@dataclass(frozen=True)
class PlannedVideo:
    """The person's own video, as far as a plan needs it.

    Attributes:
        frames: about how many it has.
    """

    frames: int


def without_edits(recipe: Recipe) -> Recipe:
    """What is left of a recipe with --no-edits: nothing is interpolated either."""
    training = replace(recipe.training, edits_per_step=0)
    return replace(recipe, prompts=replace(recipe.prompts, counts=()), training=training, finetuning=None)


def capture_stages(recipe: Recipe, video: PlannedVideo, rates: Rates = Rates()) -> list[PlannedStage]:
    """What a video costs before anything else: the person is found in it, and its frames become a clip. Both are done
    by the driver's own process."""
    wanted = min(_frames(recipe), video.frames)
    return [
        PlannedStage("find", f"{video.frames} frames of the video", video.frames, None, rates.find_frame_s, 1),
        PlannedStage("capture", f"{wanted} of its frames at most", wanted, None, rates.capture_frame_s, 1),
    ]


def synthesis_balance(recipe: Recipe, rates: Rates = Rates()) -> list[BalancedStage]:
    """Editors, screens and animators with their times, for `balanced`."""
    cluster = recipe.cluster
    return [
        BalancedStage("edit", cluster.edit, _mean_edit_s(recipe, rates)),
        BalancedStage("screen", cluster.screen, rates.screen_s),
        BalancedStage("animate", cluster.animate, _mean_clip_s(recipe, rates)),
    ]


def synthesis_s(recipe: Recipe, nodes: Sequence[Node], rates: Rates = Rates()) -> tuple[float, float]:
    """Seconds of all edits and clips on empty nodes: what the slowest stage needs, always busy, for the prompts and for
    those that replace refused ones; and the same with the way of one row, for which the first stages have to wait in
    the end and the last ones in the beginning."""
    stages = synthesis_balance(recipe, rates)
    rows = round(_prompts(recipe) / (1 - rates.refused_share))
    bound = bound_s(stages, balanced(stages, nodes), rows)
    return bound, bound + sum(stage.seconds for stage in stages)


def planned_stages(recipe: Recipe, rates: Rates = Rates(), nodes: Sequence[Node] = ()) -> list[PlannedStage]:
    """The stages that cost something, in order; the first three run at the same time.

    Args:
        nodes: with as many workers as these hold; without any, each pool has its largest number.
    """
    stages = _unbounded_stages(recipe, rates)
    return [replace(stage, workers=_workers_on(nodes, stage, recipe, rates)) for stage in stages] if nodes else stages


def _workers_on(nodes: Sequence[Node], stage: PlannedStage, recipe: Recipe, rates: Rates) -> int:
    """Workers of a stage that nodes hold, as the build would start them."""
    if stage.name in ("edit", "screen", "animate"):
        return balanced(synthesis_balance(recipe, rates), nodes)[stage.name]
    if stage.name == "morph":
        return morph_actors(recipe.cluster, nodes)[1]
    if stage.pool is None or stage.name in ("train", "finetune"):
        return stage.workers
    return min(held_workers(stage.pool, nodes), stage.units)


def _unbounded_stages(recipe: Recipe, rates: Rates) -> list[PlannedStage]:
    cluster = recipe.cluster
    prompts = _prompts(recipe)
    clip_s = _mean_clip_s(recipe, rates)
    edit_s = _mean_edit_s(recipe, rates)
    stages = [
        PlannedStage("edit", f"{prompts} prompts", prompts, cluster.edit, edit_s, cluster.edit.workers[1]),
        PlannedStage("screen", f"{prompts} edits", prompts, cluster.screen, rates.screen_s, cluster.screen.workers[1]),
        PlannedStage(
            "animate",
            f"{prompts + 1} clips of {_frames(recipe)} frames",
            prompts + 1,
            cluster.animate,
            clip_s,
            cluster.animate.workers[1],
        ),
    ]
    watched = min(prompts, recipe.start.watched_subjects or prompts)
    stages += [
        _pooled("encode", f"{prompts + 1} pictures", prompts + 1, cluster.encode, rates.encode_s),
        _pooled("set up", f"{watched} watched subjects", watched, cluster.set_up, rates.set_up_subject_s),
    ]
    workers = max(cluster.train_workers, 1)
    pool = cluster.train if cluster.train_workers else None
    image_s = _image_s(recipe, rates)
    steps, images = recipe.training.steps, recipe.training.edits_per_step + 1
    stages.append(_training("train", steps, images, workers, pool, image_s))
    stages.append(_evaluation("evaluate", recipe, rates))
    if recipe.finetuning is not None:
        stages += _teaching(recipe, rates)
        steps, images = recipe.finetuning.training.steps, recipe.finetuning.alphas_per_step + 3
        stages.append(_training("finetune", steps, images, workers, pool, image_s))
        stages.append(_evaluation("evaluate", recipe, rates))
    return stages


def _pooled(name: str, work: str, units: int, pool: WorkerPool, seconds: float) -> PlannedStage:
    """A stage of a pool; one of (0, 0) workers is the driver's own process."""
    high = pool.workers[1]
    return PlannedStage(name, work, units, pool if high else None, seconds, max(high, 1))


def _evaluation(name: str, recipe: Recipe, rates: Rates) -> PlannedStage:
    """Subjects on unseen frames, mixes, and interpolations (P B.2)."""
    config, pool = recipe.evaluation, recipe.cluster.evaluate
    frames = min(config.frames, len(recipe.filming.test_frames))
    pairs = sum(min(config.pairs_per_category, n * (n - 1) // 2) for _, n in recipe.prompts.counts)
    pictures = (_prompts(recipe) + 1 + config.mixes) * frames
    pictures += pairs * (config.interpolation_steps + 5) * min(config.interpolation_frames, frames)
    return _pooled(
        name, f"{pictures} pictures", pictures, pool, rates.gpu_render_s if pool.gpus else rates.cpu_render_s
    )


def _teaching(recipe: Recipe, rates: Rates) -> list[PlannedStage]:
    """Adapters, where the teacher has any, and the morphs of all training workers from their one pool."""
    assert recipe.finetuning is not None, "the caller has looked"
    cluster, morpher = recipe.cluster, recipe.morpher
    morphs = recipe.finetuning.training.steps * max(cluster.train_workers, 1)
    if not isinstance(morpher, DiffMorpherConfig):
        return [_pooled("morph", f"{morphs} morphs", morphs, cluster.morph, rates.morph_s)]
    subjects = sum(n for _, n in recipe.prompts.counts if n > 1)
    lora = morpher.lora
    steps = -(-len(recipe.filming.train_frames) // lora.batch_size) * lora.epochs
    # Each end is shared by about two pairs (`MorphSchedule`): inverted, and walked for its attention, once.
    rows = morpher.steps * recipe.finetuning.alphas_per_step + morpher.steps * (1 + morpher.attention_share)
    return [
        _pooled(
            "adapt", f"{subjects} adapters of {steps} steps", subjects, cluster.adapt, steps * rates.adapter_step_s
        ),
        _pooled("morph", f"{morphs} morphs", morphs, cluster.morph, rows * rates.unet_row_s),
    ]


def describe_plan(
    recipe: Recipe, rates: Rates = Rates(), nodes: Sequence[Node] = (), video: PlannedVideo | None = None
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
    lines += ["hours are estimates from the rates in perse_ray/build/plan.py, not measurements of your machines"]
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


def _synthesis(recipe: Recipe, rates: Rates, nodes: Sequence[Node]) -> Iterator[str]:
    """What the first three stages take together, side by side."""
    if nodes:
        bound, whole = synthesis_s(recipe, nodes, rates)
        yield (
            f"edits and clips take {readable_s(bound)} at best, as long as the slowest stage is busy with the prompts "
            f"and {rates.refused_share:.0%} refused ones' replacements, and {readable_s(whole)} from the first edit's "
            "beginning to the last clip's end; loading of weights comes on top"
        )


def _later_s(stages: Sequence[PlannedStage]) -> float:
    """One after another, but for fine-tuning and its morphs, of which the slower one counts."""
    together = [stage.wall_s for stage in stages if stage.name in ("morph", "finetune")]
    return sum(s.wall_s for s in stages if s.name not in ("morph", "finetune")) + max(together, default=0.0)


def _stand_ins(recipe: Recipe) -> Iterator[str]:
    found = list(stand_ins(recipe))
    if found:
        yield "not the paper's:"
        yield from (f"  {box}: {there}; the paper has {papers}" for box, there, papers in found)
        yield ""


def _image_s(recipe: Recipe, rates: Rates) -> float:
    """Of one training image, wherever the recipe trains."""
    points = recipe.training.densification.target if recipe.training.densification else recipe.start.n_points
    flop = recipe.avatar.decoder.training_flop(points)
    if recipe.cluster.train.gpus:
        return rates.gpu_image_s + flop / rates.gpu_flop_per_s
    return rates.cpu_image_s + flop / rates.cpu_flop_per_s


def _training(
    name: str, steps: int, images: int, workers: int, pool: WorkerPool | None, image_s: float
) -> PlannedStage:
    work = f"{steps} steps of {workers} × {images} images"
    return PlannedStage(name, work, steps * images * workers, pool, image_s, workers)


def _mean_edit_s(recipe: Recipe, rates: Rates) -> float:
    counts = dict(recipe.prompts.counts)
    total = sum(_edit_s(_editor_of(recipe, category), category, rates) * n for category, n in counts.items())
    return total / max(sum(counts.values()), 1)


def _edit_s(editor: object, category: Category, rates: Rates) -> float:
    if not isinstance(editor, DiffusionEditorConfig):
        return rates.procedural_edit_s
    return rates.diffusion_step_s * (editor.inpainter.steps + editor.mask_portrait.steps)


def _editor_of(recipe: Recipe, category: Category) -> object:
    return recipe.editor.of(category) if isinstance(recipe.editor, EditorByCategoryConfig) else recipe.editor


def _editors(recipe: Recipe) -> Iterator[str]:
    for category, count in recipe.prompts.counts:
        editor = _editor_of(recipe, category)
        how = type(editor).__name__.removesuffix("Config")
        if isinstance(editor, DiffusionEditorConfig):
            how += f" ({type(editor.inpainter).__name__.removesuffix('Config')})"
        yield f"  {count:4} {category.value:10} by {how}"


def _animator_of(recipe: Recipe, category: Category | None) -> object:
    return recipe.animator.of(category) if isinstance(recipe.animator, AnimatorByCategoryConfig) else recipe.animator


def _animators(recipe: Recipe, rates: Rates) -> Iterator[str]:
    """Which category is filmed by what, with which weights, and what one of its clips costs."""
    counts: list[tuple[Category | None, int]] = [(None, 1), *recipe.prompts.counts]
    for category, count in counts:
        animator = _animator_of(recipe, category)
        weights = ", ".join(f"{one.name}: {one.licence}" for one in weights_in(animator)) or "no weights"
        gpu_s, core_s = _clip_cost(animator, recipe, rates)
        cost = ", ".join(
            text for text, s in ((f"{gpu_s:.0f} GPU-s", gpu_s), (f"{core_s:.0f} core-s", core_s)) if s >= 0.5
        )
        name = category.value if category is not None else "reference"
        how = type(animator).__name__.removesuffix("Config")
        yield f"  {count:4} {name:10} filmed by {how}, {cost or 'under a second'} a clip ({weights})"


def _clip_cost(animator: object, recipe: Recipe, rates: Rates) -> tuple[float, float]:
    """Seconds of a GPU, and of a core beside it, for one clip."""
    frames, megapixels = _frames(recipe), recipe.filming.size_px**2 / 1e6
    if isinstance(animator, PortraitChampConfig):
        sampling = animator.sampling
        passes = 2 if sampling.guidance != 1 else 1
        again = sampling.window / max(sampling.window - sampling.overlap, 1)  # frames that two windows share
        drawn = frames * again * sampling.steps * passes * rates.champ_pass_s * (animator.size_px / 512) ** 2
        return drawn + frames * rates.parse_frame_s, 0.0
    if isinstance(animator, LivePortraitConfig):
        drawn = frames * rates.liveportrait_frame_s
        if isinstance(animator.segmenter, LandmarkSegmenterConfig):
            return drawn, frames * rates.landmark_parse_frame_s
        return drawn + frames * rates.parse_frame_s, 0.0
    return 0.0, frames * megapixels * rates.frame_s_per_megapixel


def _mean_clip_s(recipe: Recipe, rates: Rates) -> float:
    """Of a worker, over all clips."""
    counts: list[tuple[Category | None, int]] = [(None, 1), *recipe.prompts.counts]
    total = sum(sum(_clip_cost(_animator_of(recipe, category), recipe, rates)) * n for category, n in counts)
    return total / sum(n for _, n in counts)


def _frames(recipe: Recipe) -> int:
    return len(recipe.filming.train_frames) + len(recipe.filming.test_frames)


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


def disk_gib(recipe: Recipe, rates: Rates = Rates()) -> float:
    """What the workspace grows by, without checkpoints."""
    return _clips_gib(recipe, rates) + _edits_gib(recipe, rates)


def _clips_gib(recipe: Recipe, rates: Rates) -> float:
    return (_prompts(recipe) + 1) * _frames(recipe) * recipe.filming.size_px**2 * rates.clip_bytes_per_pixel / 2**30


def _edits_gib(recipe: Recipe, rates: Rates) -> float:
    return _prompts(recipe) * recipe.tracker.crop.size_px**2 * rates.edit_bytes_per_pixel / 2**30


def _prompts(recipe: Recipe) -> int:
    return sum(count for _, count in recipe.prompts.counts)


def _disk(recipe: Recipe, rates: Rates) -> Iterator[str]:
    clips, edits = _clips_gib(recipe, rates), _edits_gib(recipe, rates)
    yield f"disk: clips {clips:.1f} GiB, edits {edits:.1f} GiB, and a few checkpoints"


def decoded_gib(recipe: Recipe) -> float:
    """All frames of all clips, decoded."""
    return (_prompts(recipe) + 1) * _frames(recipe) * recipe.filming.size_px**2 * DECODED_BYTES / 2**30


def kept_gib(recipe: Recipe) -> float:
    """Decoded frames that one process keeps."""
    return min(decoded_gib(recipe), recipe.cluster.clips_mib / 1024)


def watched_gib(recipe: Recipe) -> float:
    """Decoded frames that are held at once while the avatar is set up."""
    subjects = min(_prompts(recipe), recipe.start.watched_subjects or _prompts(recipe))
    frames = (subjects + 1) * min(recipe.start.watched_frames, len(recipe.filming.train_frames))
    return frames * recipe.filming.size_px**2 * DECODED_BYTES / 2**30


def _memory(recipe: Recipe, rates: Rates) -> Iterator[str]:
    """What a training worker and the driver need besides their models."""
    decoded, kept = decoded_gib(recipe), kept_gib(recipe)
    if decoded <= kept:
        yield f"memory of the driver and of a training worker: {decoded:.1f} GiB, all frames decoded once"
    else:
        rate = DECODERS / (rates.decode_s_per_megapixel * recipe.filming.size_px**2 / 1e6)
        yield (
            f"memory of a training worker: {kept:.1f} GiB of decoded frames; all would be {decoded:.1f} GiB, so they "
            f"are streamed: it needs {1 / _image_s(recipe, rates):.1f} frames/s, {DECODERS} threads decode about "
            f"{rate:.0f}"
        )
    who = "a worker" if recipe.cluster.set_up.workers[1] else "the driver"
    yield f"memory of {who} while the avatar is set up: {watched_gib(recipe):.1f} GiB of frames more"


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
