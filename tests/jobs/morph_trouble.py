"""Recipes whose teacher of interpolations is in trouble, as files and machines of people are; the rest of each is well.

python tests/jobs/morph_trouble.py /tmp/it
cd tests/jobs && PERSE_WEIGHTS=/tmp/it/weights python ../../jobs/build_avatar.py --recipe morph_trouble:mishaps \
    --workspace /tmp/it/run
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1])]

from paper_tiny_weights import save_paper_tiny  # noqa: E402
from tiny_diffusion import save_tiny_diffusion  # noqa: E402

from perse.morphing import DiffMorpher, DiffMorpherConfig, FrameOrigin, Morph, MorphEnd, SubjectLoraConfig  # noqa: E402
from perse.morphing.diffusion.adapters import adapter_file  # noqa: E402
from perse.recipes import Recipe, recipe_named  # noqa: E402
from perse.recipes.resources import WorkerPool  # noqa: E402
from perse.synthesis.production.model_store import Weights, store_root  # noqa: E402

MISHAPS = ("nan", "little memory", "no memory", "none", "no adapter")
"""What happens to the first morphs, one each and then no more; never to three in a row, which would end the run."""

EXPECTED = ("the latents are NaN or infinite", "out of memory with a single picture", "there is no adapter")
"""What the quarantine says of them. With little memory the batch is halved, and the morph is made."""


def place(name: str) -> Path:
    """Beside the store, which knows none of these files."""
    return store_root().with_name("trouble") / name


def mishaps() -> Recipe:
    """`paper-tiny`; the first of its morphs meet `MISHAPS`."""
    return _with(TroubledMorpherConfig(morpher=_morpher(None)))


def other_unet() -> Recipe:
    """A UNet of five channels."""
    return _with(_morpher("other_unet"))


def other_scheduler() -> Recipe:
    """A schedule that is no DDIM's."""
    return _with(_morpher("other_scheduler"))


def all_nan() -> Recipe:
    """A UNet of which one number is none: nobody's adapter can be trained."""
    return _with(_morpher("all_nan"))


def _with(morpher: DiffMorpherConfig | TroubledMorpherConfig) -> Recipe:
    """`paper-tiny` with another teacher; no stage claims a GPU."""
    small = recipe_named("paper-tiny")
    pools = {name: pool for name, pool in vars(small.cluster).items() if isinstance(pool, WorkerPool)}
    cluster = replace(small.cluster, **{name: replace(pool, gpus=0) for name, pool in pools.items()})
    return replace(small, morpher=morpher, cluster=cluster)  # type: ignore[arg-type]


def _morpher(model: str | None) -> DiffMorpherConfig:
    """`paper-tiny`'s, with another model where one is named."""
    morpher = recipe_named("paper-tiny").morpher
    assert isinstance(morpher, DiffMorpherConfig)
    if model is None:
        return morpher
    weights = Weights(name=model, folder=place(model))
    return replace(morpher, lora=replace(morpher.lora, model=replace(morpher.lora.model, weights=weights)))


@dataclass(frozen=True, kw_only=True)
class TroubledMorpherConfig:
    """DiffMorpher, with the mishaps whose files are left."""

    morpher: DiffMorpherConfig

    @property
    def lora(self) -> SubjectLoraConfig:
        return self.morpher.lora

    def check(self) -> None:
        self.morpher.check()

    def build(self) -> TroubledMorpher:
        return TroubledMorpher(self.morpher)


class TroubledMorpher:
    """DiffMorpher that forgets everything after each morph, so that an adapter which is gone is missed."""

    def __init__(self, config: DiffMorpherConfig) -> None:
        self._morpher: DiffMorpher = replace(config, ends_mib=0, adapters_mib=0).build()
        self._config = config

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        mishap = _next_mishap(first, second)
        if mishap == "no adapter":
            assert first.origin is not None
            with self._lost(first.origin):
                return self._morpher.morph(first, second, positions)
        model = self._morpher.model
        sound = model.predict
        model.predict = Spoilt(sound, mishap)  # type: ignore[method-assign]
        try:
            return self._morpher.morph(first, second, positions)
        finally:
            model.predict = sound  # type: ignore[method-assign]

    @contextmanager
    def _lost(self, origin: FrameOrigin) -> Iterator[None]:
        """An adapter that somebody took away."""
        name = adapter_file(self._config.lora.key(origin.clip))
        content = origin.workspace.read(name)
        origin.workspace.remove(name)
        try:
            yield
        finally:
            origin.workspace.write(name, content)


class Spoilt:
    """A UNet that answers wrongly between the ends: from the first time that it is given several pictures at once."""

    def __init__(self, sound: Callable[..., torch.Tensor], mishap: str) -> None:
        self._sound, self._mishap, self._between = sound, mishap, False

    def __call__(self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        self._between = self._between or len(latents) > 1
        fitting = {"no memory": 0, "little memory": 2}.get(self._mishap, len(latents))
        if self._between and len(latents) > fitting:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        found = self._sound(latents, timestep, text)
        return found * torch.nan if self._between and self._mishap == "nan" else found


def _next_mishap(first: MorphEnd, second: MorphEnd) -> str:
    """The next one of all actors', which is over with that. Nothing happens twice to the same morph."""
    assert first.origin is not None and second.origin is not None
    met = place("met") / f"{first.origin.clip} {second.origin.clip} {first.origin.frame_number}"
    try:
        met.touch(exist_ok=False)
    except FileExistsError:
        return "none"
    for file in sorted(place("mishaps").iterdir()):
        with suppress(FileNotFoundError):  # another actor was quicker
            file.unlink()
            return file.name.partition(" ")[2]
    return "none"


def save_trouble(folder: Path) -> Path:
    """Everything that the recipes name, in a folder; returns what PERSE_WEIGHTS is to be."""
    from diffusers import UNet2DConditionModel

    store, root = save_paper_tiny(folder), folder / "trouble"
    (root / "mishaps").mkdir(parents=True)
    (root / "met").mkdir()
    for number, mishap in enumerate(MISHAPS):
        (root / "mishaps" / f"{number} {mishap}").touch()
    save_tiny_diffusion(root / "other_unet", channels=5)
    save_tiny_diffusion(root / "other_scheduler")
    file = root / "other_scheduler" / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "_class_name": "FlowMatchEulerDiscreteScheduler"}))
    save_tiny_diffusion(root / "all_nan")
    unet = UNet2DConditionModel.from_pretrained(root / "all_nan" / "unet")
    next(iter(unet.parameters())).data.flatten()[0] = torch.nan
    unet.save_pretrained(root / "all_nan" / "unet")
    return store


if __name__ == "__main__":
    print(f"export PERSE_WEIGHTS={save_trouble(Path(sys.argv[1]))}")
