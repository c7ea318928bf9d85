"""Recipes whose teacher of interpolations is in trouble, as files and machines of people are; the rest of each is well.

python tests/jobs/morph_trouble.py /tmp/it
cd tests/jobs && PERSE_WEIGHTS=/tmp/it/weights python ../../jobs/build_avatar.py --recipe morph_trouble:trouble \
    --workspace /tmp/it/run
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

sys.path[:0] = [str(Path(__file__).parents[1])]

from tiny_diffusion import save_tiny_diffusion, tiny_config  # noqa: E402

from perse.morphing import DiffMorpher, DiffMorpherConfig, FrameOrigin, Morph, MorphEnd, SubjectLoraConfig  # noqa: E402
from perse.morphing.diffusion.adapters import adapter_file  # noqa: E402
from perse.recipes import Recipe, recipe_named  # noqa: E402
from perse.synthesis.production.model_store import store_root  # noqa: E402

MISHAPS = {2: "nan", 4: "no memory", 6: "little memory", 8: "no adapter"}
"""What happens to the n-th morph of an actor; never to three in a row, which would be the end of a run."""

EXPECTED = ("the latents are NaN or infinite", "out of memory with a single row", "there is no adapter")
"""What the quarantine says of them. With little memory the batch is halved, and the morph is made."""


def place(name: str = "sound") -> Path:
    """Beside the store, which knows none of these files."""
    return store_root().with_name("trouble") / name


def trouble() -> Recipe:
    """The paper's teacher; some of its morphs cannot be made."""
    return _recipe(TroubledMorpherConfig(morpher=_morpher("sound")))


def other_unet() -> Recipe:
    """A UNet of five channels."""
    return _recipe(_morpher("other_unet"))


def other_scheduler() -> Recipe:
    """A schedule that is no DDIM's."""
    return _recipe(_morpher("other_scheduler"))


def all_nan() -> Recipe:
    """A UNet of which one number is none: nobody's adapter can be trained."""
    return _recipe(_morpher("all_nan"))


def _recipe(morpher: Any) -> Recipe:
    small = recipe_named("tiny")
    return replace(small, name="morph-trouble", morpher=morpher, filming=replace(small.filming, stride=100))


def _morpher(name: str) -> DiffMorpherConfig:
    lora = SubjectLoraConfig(model=tiny_config(place(name)), rank=2, batch_size=4, epochs=1)
    return DiffMorpherConfig(lora=lora, steps=4, ends_mib=0, adapters_mib=0)


@dataclass(frozen=True, kw_only=True)
class TroubledMorpherConfig:
    """DiffMorpher, with a mishap now and then."""

    morpher: DiffMorpherConfig

    @property
    def lora(self) -> SubjectLoraConfig:
        return self.morpher.lora

    def check(self) -> None:
        self.morpher.check()

    def build(self) -> TroubledMorpher:
        return TroubledMorpher(self.morpher.build(), self.morpher)


class TroubledMorpher:
    """Counts its morphs."""

    def __init__(self, morpher: DiffMorpher, config: DiffMorpherConfig) -> None:
        self._morpher, self._config, self._count = morpher, config, 0

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        self._count += 1
        mishap = MISHAPS.get(self._count, "")
        if mishap == "no adapter":
            assert first.origin is not None
            with self._lost(first.origin):
                return self._morpher.morph(first, second, positions)
        model = self._morpher.model
        sound = model.predict

        def predict(latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            if mishap == "no memory" or (mishap == "little memory" and len(latents) > 1):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            found = sound(latents, timestep, text)
            return found * torch.nan if mishap == "nan" and len(latents) == len(positions) > 1 else found

        model.predict = predict  # type: ignore[method-assign]
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


def save_trouble(root: Path) -> None:
    """Everything that the recipes name, in a folder called ``trouble``."""
    from diffusers import UNet2DConditionModel

    save_tiny_diffusion(root / "sound")
    save_tiny_diffusion(root / "other_unet", channels=5)
    save_tiny_diffusion(root / "other_scheduler")
    file = root / "other_scheduler" / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "_class_name": "FlowMatchEulerDiscreteScheduler"}))
    save_tiny_diffusion(root / "all_nan")
    unet = UNet2DConditionModel.from_pretrained(root / "all_nan" / "unet")
    next(iter(unet.parameters())).data.flatten()[0] = torch.nan
    unet.save_pretrained(root / "all_nan" / "unet")


if __name__ == "__main__":
    files = Path(sys.argv[1]) / "trouble"
    files.mkdir(parents=True, exist_ok=True)
    save_trouble(files)
    print(f"export PERSE_WEIGHTS={files.with_name('weights')}")
