"""A recipe in which each category's animator or edit is broken in another way, as files of people are; beards are well.

python tests/jobs/animator_trouble.py /tmp/it
cd tests/jobs && PERSE_WEIGHTS=/tmp/it/weights python ../../jobs/build_avatar.py --recipe animator_trouble:trouble \
    --prompts /tmp/it/trouble/prompts.csv --workspace /tmp/it/run
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[1] / "synthesis")]

from champ_tiny_networks import networks as champ_networks  # noqa: E402
from tiny_liveportrait import TINY, converted_weights, tiny_networks  # noqa: E402

from perse.attributes import Category  # noqa: E402
from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait, Verdict  # noqa: E402
from perse.head import HeadModel  # noqa: E402
from perse.recipes import Recipe, recipe_named  # noqa: E402
from perse.recipes.champ import champ_tiny  # noqa: E402
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig  # noqa: E402
from perse.synthesis.procedural.editing import ProceduralEditorConfig  # noqa: E402
from perse.synthesis.production import (  # noqa: E402
    AnimatorByCategoryConfig,
    EditorByCategoryConfig,
    LivePortraitConfig,
)
from perse.synthesis.production.liveportrait import RenderedDriving, VideoDriving  # noqa: E402
from perse.synthesis.production.liveportrait.driving import DrivingConfig  # noqa: E402
from perse.synthesis.production.model_store import Weights, store_root  # noqa: E402
from perse.synthesis.production.segmenter import (  # noqa: E402
    LandmarkSegmenterConfig,
    SegmenterConfig,
    TorchscriptSegmenterConfig,
)
from perse.synthesis.seams import PortraitEditor  # noqa: E402

EXPECTED = {
    "hat": "of the clip has NaN",
    "hair": "of the clip is black",
    "headphones": "of the clip has NaN",
    "earrings": "the edit cannot be parsed",
    "mouth": "no face is seen in the edit",
    "nose": "wall.mp4 shows no face in frame",
}
"""What the quarantine says of each category's prompt."""

PROMPTS = """category,color,kind,width
beard,black,,
hat,red,beanie,
hair,blonde,,
headphones,red,studio,
earrings,,hoop,
mouth,red,,
nose,,,wide
"""


def place() -> Path:
    """Beside the store, which knows none of these files."""
    return store_root().with_name("trouble")


def trouble() -> Recipe:
    """One prompt a category, and what `save_trouble` wrote."""
    root = place()
    rendered = RenderedDriving(film=ProceduralAnimatorConfig(), size_px=192)

    def live(weights: str, *, driving: DrivingConfig = rendered, blind: bool = False) -> LivePortraitConfig:
        parser: SegmenterConfig = LandmarkSegmenterConfig()
        if blind:
            parser = TorchscriptSegmenterConfig(file=root / "blind.ts", size_px=(64, 64))
        files = Weights(name="liveportrait", folder=root / weights)
        return LivePortraitConfig(driving=driving, weights=files, shape=TINY, segmenter=parser)

    champ = champ_tiny().animator(root / "champ")
    animators = (
        (Category.HAT, live("nan")),
        (Category.HAIR, live("black")),
        (Category.HEADPHONES, replace(champ, guidance_folder=root / "guidance")),
        (Category.EARRINGS, live("sound", blind=True)),
        (Category.MOUTH, live("sound")),
        (Category.NOSE, live("sound", driving=VideoDriving(video=root / "wall.mp4"))),
    )
    small = recipe_named("tiny")
    return replace(
        small,
        name="trouble",
        editor=EditorByCategoryConfig(default=ProceduralEditorConfig(), by_category=((Category.MOUTH, Faceless()),)),
        screen=Lenient(),
        animator=AnimatorByCategoryConfig(default=ProceduralAnimatorConfig(), by_category=animators),
        filming=replace(small.filming, stride=100),
        finetuning=None,
        quarantine_share=1.0,
    )


@dataclass(frozen=True)
class Faceless:
    """An editor who paints the face away."""

    editor: ProceduralEditorConfig = field(default_factory=ProceduralEditorConfig)

    def build(self, head: HeadModel) -> FacelessEditor:
        return FacelessEditor(self.editor.build(head))


@dataclass(frozen=True)
class FacelessEditor:
    editor: PortraitEditor

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        edited = self.editor.edit(portrait, prompt)
        picture = np.array(edited.image)
        left, top = np.maximum(portrait.landmarks_px[:, :2].min(0).astype(int) - 20, 0)
        right, bottom = portrait.landmarks_px[:, :2].max(0).astype(int) + 20
        picture[top:bottom, left:right] = 128
        return replace(edited, image=picture)


@dataclass(frozen=True)
class Lenient:
    """A screen that lets everything pass; ours refuses an edit without a face before it is filmed."""

    def build(self, head: HeadModel) -> Lenient:
        return self

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict:
        return Verdict(True, (), ())


class Blind(torch.nn.Module):
    """A parser to which everything is background."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(1, 19, pictures.shape[2], pictures.shape[3])
        logits[:, 0] = 9.0
        return logits


def save_trouble(root: Path) -> None:
    """Everything that the recipe names, in a folder called ``trouble``."""
    from perse.export.video import mp4_bytes
    from perse.synthesis.production.portrait_champ.storage import networks_to_files

    broken: dict[str, Callable[[torch.nn.Module], None]] = {"sound": lambda _: None, "nan": _hole, "black": _night}
    for name, change in broken.items():
        networks = tiny_networks()
        change(networks.generator)
        converted_weights(networks, root / name)
    torch.jit.script(Blind()).save(str(root / "blind.ts"))
    (root / "wall.mp4").write_bytes(mp4_bytes([np.full((120, 160, 3), 90, np.uint8)] * 520, 25.0))
    recipe, champ = champ_tiny(), root / "champ"
    champ.mkdir(exist_ok=True)
    networks = champ_networks(recipe.sizes, moves=True)
    _hole(networks)
    for name, content in networks_to_files(networks, {}, recipe.name).items():
        (champ / name).write_bytes(content)
    (root / "prompts.csv").write_text(PROMPTS)


def _hole(network: torch.nn.Module) -> None:
    """One number of all is none."""
    last = list(network.parameters())[-1]
    last.data.flatten()[0] = torch.nan


def _night(network: torch.nn.Module) -> None:
    """Nothing is so bright that it is seen."""
    last = list(network.parameters())[-1]
    last.data.fill_(-1e4)


if __name__ == "__main__":
    files = Path(sys.argv[1]) / "trouble"
    files.mkdir(parents=True, exist_ok=True)
    save_trouble(files)
    print(f"export PERSE_WEIGHTS={files.with_name('weights')}")
