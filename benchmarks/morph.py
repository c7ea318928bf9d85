"""Which teacher of interpolations costs what: the warp, DiffMorpher and the one without training, on the same pairs.

    python -m benchmarks.morph [--threads 2] [--quick] [--json FILE]             a tiny random model: calls, overheads
    python -m benchmarks.morph --weights sd-2.1-base --workspace runs/demo       the real thing; wants a GPU

All pairs of a few subjects in one frame, five α each (1/6 … 5/6). Columns: seconds a pair; calls of the UNet and
pictures in them a pair, what the ends cost included and shared by the pairs that have them; sum and deviation of the
distances between neighbours (multi-scale L1; 1 is a cross-fade's sum); PSNR of an end that went through the model and
back. Training of the adapters is a row of its own: it is paid once for a subject, not for a pair.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import torch

from benchmarks.command import parser, report
from benchmarks.timing import Row
from perse.attributes import Category
from perse.data.workspace import Workspace
from perse.evaluation import multi_scale_distance
from perse.morphing import (
    DiffMorpher,
    DiffMorpherConfig,
    FrameOrigin,
    FreeMorph,
    FreeMorphConfig,
    MorphEnd,
    Morpher,
    SubjectLoraConfig,
    WarpMorpherConfig,
)
from perse.morphing.diffusion import LatentDiffusionConfig
from perse.morphing.diffusion.adapters import save_adapter
from perse.synthesis.production.model_store import Weights

ALPHAS = tuple(k / 6 for k in range(1, 6))
TARGET, AUTHORS = 150, 600
"""Evaluations of the UNet a pair: what we allow ourselves, and what the authors' code takes, about."""

TRAINING_PASSES = 3
"""Forward passes that a step of training counts as: one, and a backward pass that costs two."""

TABLE = "teachers"


@dataclass(frozen=True)
class MorphSubject:
    """One end of several pairs.

    Attributes:
        end: its picture in the frame that is measured.
        frames: [f, h, w, 3] uint8, what its adapter is trained on.
    """

    end: MorphEnd
    frames: np.ndarray


def painted(workspace: Workspace, count: int, size_px: int = 32) -> list[MorphSubject]:
    """Coloured discs of different sizes."""
    rows, columns = np.mgrid[:size_px, :size_px] + 0.5
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        shape = np.hypot(rows - size_px / 2, columns - size_px / 2) < size_px * (0.15 + 0.06 * number)
        image = np.full((size_px, size_px, 3), 255, np.uint8)
        image[shape] = rng.integers(20, 220, 3)
        alpha = np.where(shape, 255, 0).astype(np.uint8)
        origin = FrameOrigin(workspace, f"subject-{number}", 0)
        end = MorphEnd(image, alpha, shape, np.zeros((0, 2), np.float32), Category.HAT, origin)
        made.append(MorphSubject(end, np.repeat(image[None], 16, 0)))
    return made


def filmed(place: str, adapters: Workspace, count: int) -> list[MorphSubject]:
    """The first hats of a finished workspace."""
    from perse.data import archive
    from perse.head.embedded import embedded_head
    from perse.morphing import morph_end

    workspace, head, made = Workspace.open(place), embedded_head(), []
    for found in workspace.manifest("synthesize")["result"]["subjects"]:  # type: ignore[index]
        if found["prompt"]["category"] == Category.HAT and len(made) < count:
            clip = archive.load_clip(workspace, found["clip"])
            origin = FrameOrigin(adapters, found["clip"], int(clip.frame_numbers[0]))
            one = archive.open_clip(workspace, found["clip"]).clip(0)
            made.append(MorphSubject(morph_end(one, Category.HAT, head, origin), clip.images[:]))
    return made


def trained(lora: SubjectLoraConfig, subjects: Sequence[MorphSubject]) -> Row:
    """Every subject's adapter, in its end's workspace."""
    trainer, start, steps = lora.build(), time.perf_counter(), 0
    for subject in subjects:
        origin = subject.end.origin
        assert origin is not None
        made = trainer.train(subject.frames, origin.clip)
        steps += made.steps
        save_adapter(origin.workspace, lora.key(origin.clip), made.adapter, {})
    each = (time.perf_counter() - start) / len(subjects)
    return Row("adapters", "LoRA a subject", {"training": 1e3 * each}, {"steps": steps / len(subjects)})


def measured(name: str, morpher: Morpher, subjects: Sequence[MorphSubject]) -> Row:
    """A teacher on all pairs."""
    calls = rows = 0
    seconds, sums, deviations = [], [], []
    for first, second in combinations(subjects, 2):
        start = time.perf_counter()
        morph = morpher.morph(first.end, second.end, (0.0, *ALPHAS, 1.0))
        seconds.append(time.perf_counter() - start)
        calls, rows = calls + morph.cost.unet_calls, rows + morph.cost.unet_rows
        path = torch.from_numpy(morph.images).float() / 255
        whole = float(multi_scale_distance(path[:1], path[-1:]))
        steps = [float(multi_scale_distance(a[None], b[None])) / whole for a, b in pairwise(path)]
        sums.append(sum(steps))
        deviations.append(float(np.std(steps)))
    pairs = len(seconds)
    others = {
        "UNet calls": calls / pairs,
        "pictures in them": rows / pairs,
        "sum": float(np.mean(sums)),
        "deviation": float(np.mean(deviations)),
    }
    if isinstance(morpher, DiffMorpher | FreeMorph):
        others["end PSNR, dB"] = float(np.mean([fidelity(morpher, subject.end) for subject in subjects]))
    return Row(TABLE, name, {"a pair": 1e3 * float(np.median(seconds))}, others)


def fidelity(morpher: DiffMorpher | FreeMorph, end: MorphEnd) -> float:
    """PSNR of an end after VAE, inversion and sampling. What a morph shows at its ends are the pictures themselves."""
    error = (morpher.reproduced(end).astype(float) - end.image) ** 2
    return float(10 * np.log10(255**2 / max(error.mean(), 1e-9)))


def arithmetic(config: DiffMorpherConfig, free: FreeMorphConfig, frames: int) -> list[str]:
    """What a pair of five α takes, by how many pairs share an end."""
    recorded = int(np.ceil(config.attention_share * config.steps))
    end, walked = config.steps + recorded, round(free.steps * free.strength)
    lora = config.lora
    training = lora.epochs * -(-frames // lora.batch_size)
    lines = [
        f"DiffMorpher: {config.steps} steps; an end {config.steps} up + {recorded} down = {end} calls, once for all "
        f"its pairs; a pair {config.steps} calls of {len(ALPHAS)} pictures.",
        f"  an adapter: {lora.epochs} epochs x {frames} frames / {lora.batch_size} = {training} training steps, once "
        "a subject",
    ]
    for shared in (1, 2, 8, 40):
        calls = config.steps + 2 * end / shared
        pictures = len(ALPHAS) * config.steps + 2 * end / shared
        verdict = "within" if calls <= TARGET else "above"
        lines.append(
            f"  {shared:2} pairs an end: {config.steps} + 2 x {end} / {shared} = {calls:.0f} calls "
            f"({verdict} the target of {TARGET}; authors' code about {AUTHORS}), {pictures:.0f} pictures"
        )
    lines.append(
        f"without training: {walked} up + {walked} down = {2 * walked} calls of {len(ALPHAS) + 2} pictures; "
        f"one pair of new subjects costs DiffMorpher 2 x {training} training steps + {config.steps + 2 * end} calls"
    )
    free_pictures = 2 * walked * (len(ALPHAS) + 2)
    passes = TRAINING_PASSES * training * lora.batch_size
    for pairs in (1, 5, 8, 40):
        whole = 2 * passes / pairs + 2 * end + len(ALPHAS) * config.steps
        lines.append(
            f"  {pairs:2} pairs a subject, each in a frame of its own: 2 x {passes} / {pairs} + 2 x {end} + "
            f"{len(ALPHAS) * config.steps} = {whole:.0f} pictures for DiffMorpher, {free_pictures} untrained: "
            f"x {whole / free_pictures:.1f}"
        )
    return lines


def main() -> None:
    options = parser(__doc__, quick="ten steps instead of fifty, three subjects", threads="of the CPU")
    options.add_argument(
        "--weights", help="row of the weights table; left out: a tiny random model of the same classes"
    )
    options.add_argument("--workspace", help="a finished workspace, whose hats are the subjects; left out: discs")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        adapters = Workspace.open(Path(folder) / "adapters")
        count = 3 if arguments.quick else 4
        subjects = filmed(arguments.workspace, adapters, count) if arguments.workspace else painted(adapters, count)
        lora, config, free = configurations(arguments.weights, Path(folder) / "tiny-diffusion", quick=arguments.quick)
        print("\n".join(arithmetic(DiffMorpherConfig(), FreeMorphConfig(), frames=400)), "\n")
        if not torch.cuda.is_available():
            print("No GPU here: seconds are those of a CPU, and say nothing about a GPU's.")
        if not arguments.weights:
            print("Random weights: sums, deviations and PSNR of the two models say that they run, not how well.\n")
        rows = [
            measured("warp", WarpMorpherConfig().build(), subjects),
            trained(lora, subjects),
            measured("DiffMorpher", config.build(), subjects),
            measured("DiffMorpher, all ends known", known(config, subjects), subjects),
            measured("without training", free.build(), subjects),
        ]
    report(rows, arguments.json)


def known(config: DiffMorpherConfig, subjects: Sequence[MorphSubject]) -> DiffMorpher:
    """A morpher that has met every end."""
    morpher = config.build()
    for first, second in pairwise(subjects):
        morpher.morph(first.end, second.end, (0.5,))
    return morpher


def configurations(
    weights: str | None, tiny: Path, *, quick: bool
) -> tuple[SubjectLoraConfig, DiffMorpherConfig, FreeMorphConfig]:
    """The paper's numbers on the named weights, or on a tiny model."""
    if weights:
        model = LatentDiffusionConfig(weights=Weights(name=weights))
        lora = SubjectLoraConfig(model=model)
    else:
        from tests.tiny_diffusion import save_fitted_tiny_diffusion, tiny_config

        save_fitted_tiny_diffusion(tiny)
        model = tiny_config(tiny)
        lora = SubjectLoraConfig(model=model, epochs=1)
    config, free = DiffMorpherConfig(lora=lora), FreeMorphConfig(model=model)
    return (lora, replace(config, steps=10), replace(free, steps=5)) if quick else (lora, config, free)


if __name__ == "__main__":
    main()
