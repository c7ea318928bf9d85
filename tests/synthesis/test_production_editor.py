"""The production editor: its logic with stand-in models, and end to end with tiny checkpoints of the real classes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from perse.attributes import Category, Part
from perse.data import AttributePrompt, EditedPortrait, PartMasks, TrackedPortrait
from perse.data.keys import content_key
from perse.errors import GenerationError, PerseError, PromptError, RecipeError
from perse.shapes import Picture
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.production.diffusion_editor import DiffusionEditor, DiffusionEditorConfig
from perse.synthesis.production.editor_by_category import EditorByCategoryConfig, edit_many
from perse.synthesis.production.generation import PipelineSettings
from perse.synthesis.production.inpainting import FluxControlNetInpainterConfig, InpaintRequest
from perse.synthesis.production.mask_logic import SHORTCUT_PROMPT
from perse.synthesis.production.mask_portrait import MaskPortraitRequest, SdxlMaskPortraitConfig
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.segmenter import TorchscriptSegmenterConfig

MAGENTA = (255, 0, 255)


def prompt(category: Category, text: str = "a person with something", seed: int = 3) -> AttributePrompt:
    return AttributePrompt(key=f"{category.value}-0001", category=category, attributes=(), text=text, seed=seed)


WORKERS: dict[str, object] = {}


@dataclass(frozen=True)
class StandIn:
    """A configuration that builds a stand-in of this module."""

    name: str

    def build(self) -> object:
        return WORKERS[self.name]


class Painter:
    """Inpaints one colour everywhere; notes what it was asked for; refuses sentences with "black" in them."""

    def __init__(self) -> None:
        self.asked: list[InpaintRequest] = []

    def inpaint(self, requests: list[InpaintRequest]) -> list[Picture | GenerationError]:
        self.asked.extend(requests)
        painted = [np.full_like(request.image, MAGENTA) for request in requests]
        return [
            GenerationError("a black picture") if "black" in request.text else one
            for request, one in zip(requests, painted, strict=True)
        ]


class MaskPortraits:
    """Mask portraits that say which seed made them."""

    size_px = 64

    def __init__(self) -> None:
        self.asked: list[MaskPortraitRequest] = []

    def make(self, requests: list[MaskPortraitRequest]) -> list[Picture | GenerationError]:
        self.asked.extend(requests)
        return [np.full((*request.size, 3), request.seed % 256, np.uint8) for request in requests]


class Parser:
    """Finds a hat where the mask portrait's seed allows it; the photograph's parts everywhere else."""

    def __init__(
        self,
        portrait: TrackedPortrait,
        shows: Callable[[int], bool] = lambda seed: True,
        unknown: tuple[Category, ...] = (),
    ) -> None:
        self.portrait, self.shows, self.unknown = portrait, shows, unknown

    def knows(self, category: Category) -> bool:
        return category not in self.unknown

    def segment(self, image: Picture) -> PartMasks:
        soft = self.portrait.masks.soft.copy()
        if self.shows(int(image[0, 0, 0])):
            soft[:, 40:150, 180:330] = 0
            soft[Part.HEADWEAR, 40:150, 180:330] = 255
        return PartMasks(soft, 255 - soft[Part.BACKGROUND])

    def parse(self, image: Picture, landmarks_px: np.ndarray) -> PartMasks:
        soft = self.portrait.masks.soft.copy()
        painted = (image == MAGENTA).all(-1)
        soft[:, painted] = 0
        soft[Part.HEADWEAR, painted] = 255
        return PartMasks(soft, 255 - soft[Part.BACKGROUND])


def standing_in(**workers: object) -> dict[str, StandIn]:
    """Configurations of stand-ins by field name."""
    WORKERS.update(workers)
    return {name: StandIn(name) for name in workers}


def editor(
    portrait: TrackedPortrait, parser: Parser | None = None, **changes: object
) -> tuple[DiffusionEditor, Painter, MaskPortraits]:
    painter, makers = Painter(), MaskPortraits()
    parts = standing_in(mask_portrait=makers, segmenter=parser or Parser(portrait), inpainter=painter)
    return DiffusionEditor(DiffusionEditorConfig(**parts, **changes)), painter, makers  # type: ignore[arg-type]


def test_an_edit_keeps_the_photograph_outside_its_mask(tracked_astronaut: TrackedPortrait) -> None:
    made, _, _ = editor(tracked_astronaut)
    edited = made.edit(tracked_astronaut, prompt(Category.HAT))
    outside = edited.edit_mask == 0
    assert outside.any() and (edited.edit_mask == 255).any()
    assert (edited.image[outside] == tracked_astronaut.image[outside]).all()
    assert (edited.masks.soft[:, outside] == tracked_astronaut.masks.soft[:, outside]).all()
    assert (edited.image[60, 250] == MAGENTA).all() and edited.masks.labels[60, 250] == Part.HEADWEAR
    assert edited.attachments == () and edited.underlay is None
    provenance = dict(edited.provenance)
    assert {"backend", "licence", "models", "seed"} <= set(provenance) and provenance["seed"] == "3"
    assert list(edited.provenance) == sorted(edited.provenance)


def test_hats_and_hair_are_painted_on_the_shortcut_made_once(tracked_astronaut: TrackedPortrait) -> None:
    made, painter, _ = editor(tracked_astronaut)
    outcomes = made.edit_many(tracked_astronaut, [prompt(Category.HAT), prompt(Category.HAIR), prompt(Category.NOSE)])
    assert all(isinstance(one, EditedPortrait) for one in outcomes)
    made.edit(tracked_astronaut, prompt(Category.HAT, "another hat", 9))
    shortcuts = [request for request in painter.asked if request.text == SHORTCUT_PROMPT]
    assert len(shortcuts) == 1
    hat, hair, nose = painter.asked[1:4]
    assert (hat.image == hair.image).all() and not (hat.image == tracked_astronaut.image).all()
    assert (nose.image == tracked_astronaut.image).all()
    taken_off = shortcuts[0].mask > 0.5
    assert (outcomes[0].edit_mask[taken_off] > 0).all(), "the removed hair is part of what changed"


def test_a_mask_portrait_without_the_part_is_tried_again_with_another_seed(tracked_astronaut: TrackedPortrait) -> None:
    made, _, makers = editor(tracked_astronaut, parser=Parser(tracked_astronaut, shows=lambda seed: seed != 3))
    made.edit(tracked_astronaut, prompt(Category.HAT))
    assert makers.asked[0].seed == 3 and len({r.seed for r in makers.asked}) == 2
    never, _, makers = editor(tracked_astronaut, parser=Parser(tracked_astronaut, shows=lambda seed: False))
    with pytest.raises(GenerationError, match="shows no hat"):
        never.edit(tracked_astronaut, prompt(Category.HAT))
    assert len(makers.asked) == 2


def test_one_bad_prompt_takes_no_other_with_it(tracked_astronaut: TrackedPortrait) -> None:
    made, _, _ = editor(tracked_astronaut)
    asked = [prompt(Category.NOSE, "a black nose"), prompt(Category.MOUTH), prompt(Category.NOSE, " ")]
    black, fine, silent = made.edit_many(tracked_astronaut, asked)
    assert isinstance(black, GenerationError) and "black" in str(black)
    assert isinstance(fine, EditedPortrait) and isinstance(silent, PromptError)
    assert (made.edit(tracked_astronaut, asked[1]).image == fine.image).all()
    with pytest.raises(GenerationError, match="black"):
        made.edit(tracked_astronaut, asked[0])


def test_parts_without_a_class_are_placed_and_labelled_where_the_picture_changed(
    tracked_astronaut: TrackedPortrait,
) -> None:
    parser = Parser(tracked_astronaut, unknown=(Category.EARRINGS, Category.NOSE))
    made, _, makers = editor(tracked_astronaut, parser=parser)
    edited = made.edit(tracked_astronaut, prompt(Category.EARRINGS))
    assert not makers.asked, "no mask portrait is made where nothing can be read off it"
    assert (edited.masks.labels == Part.EARRINGS).sum() > 200
    assert (edited.masks.soft.astype(int).sum(0)[edited.edit_mask > 0] >= 250).all()
    with pytest.raises(GenerationError, match="names no part for nose"):
        made.edit(tracked_astronaut, prompt(Category.NOSE))


def test_keys_tell_prompts_configurations_and_weights_apart(tracked_astronaut: TrackedPortrait) -> None:
    made, _, _ = editor(tracked_astronaut)
    wider, _, _ = editor(tracked_astronaut, mask_attempts=1)
    keys = {
        made.edit(tracked_astronaut, prompt(Category.NOSE)).key,
        made.edit(tracked_astronaut, prompt(Category.NOSE, seed=4)).key,
        wider.edit(tracked_astronaut, prompt(Category.NOSE)).key,
    }
    assert len(keys) == 3


def test_configurations_travel_and_have_keys() -> None:
    config = DiffusionEditorConfig()
    assert pickle.loads(pickle.dumps(config)) == config
    assert content_key(config) == content_key(DiffusionEditorConfig())
    assert content_key(config) != content_key(replace(config, mask_attempts=3))


def test_two_editors_in_one_run(tracked_astronaut: TrackedPortrait, head_model) -> None:  # type: ignore[no-untyped-def]
    diffusion, painter, _ = editor(tracked_astronaut)
    builds: list[object] = []

    @dataclass(frozen=True)
    class Mine:
        name: str = "mine"

        def build(self, head: object) -> DiffusionEditor:
            builds.append(self)
            return diffusion

    config = EditorByCategoryConfig(
        default=ProceduralEditorConfig(), by_category=((Category.HAIR, Mine()), (Category.HAT, Mine()))
    )
    made = config.build(head_model)
    assert len(builds) == 1, "models are loaded once however many categories they edit"
    nose = replace(prompt(Category.NOSE), attributes=(("length", "long"),))
    found = edit_many(made, tracked_astronaut, [prompt(Category.HAT), nose, prompt(Category.NOSE)])
    assert dict(found[0].provenance)["backend"].startswith("diffusion")
    assert dict(found[1].provenance)["backend"] == "procedural"
    assert isinstance(found[2], PromptError), "the procedural editor lists what it knows for free text"
    assert [request.text for request in painter.asked] == [SHORTCUT_PROMPT, prompt(Category.HAT).text]
    assert made.edit(tracked_astronaut, nose).key == found[1].key
    with pytest.raises(RecipeError, match="one editor"):
        EditorByCategoryConfig(default=Mine(), by_category=((Category.HAT, Mine()), (Category.HAT, Mine())))


def test_end_to_end_with_checkpoints_of_the_real_classes(
    tracked_astronaut: TrackedPortrait, tiny_weights: SimpleNamespace, head_model
) -> None:  # type: ignore[no-untyped-def]
    def local(name: str) -> Weights:
        return Weights(name=name, folder=getattr(tiny_weights, name))

    working = {"size_px": 64, "steps": 2, "settings": PipelineSettings(batch_size=2)}
    config = DiffusionEditorConfig(
        mask_portrait=SdxlMaskPortraitConfig(
            base=local("sdxl"), controlnet=local("union"), vae=local("vae"), **working
        ),
        segmenter=TorchscriptSegmenterConfig(file=tiny_weights.torchscript, size_px=(64, 64)),
        inpainter=FluxControlNetInpainterConfig(base=local("flux"), controlnet=local("flux_controlnet"), **working),
    )
    made = config.build(head_model)
    asked = [prompt(Category.HAIR, "blue hair"), prompt(Category.EARRINGS, "golden earrings"), prompt(Category.NOSE)]
    hair, earrings, nose = edit_many(made, tracked_astronaut, asked)
    for edited in (hair, earrings):
        assert isinstance(edited, EditedPortrait), edited
        outside = edited.edit_mask == 0
        assert (edited.image[outside] == tracked_astronaut.image[outside]).all()
        assert (edited.image != tracked_astronaut.image).any()
        provenance = dict(edited.provenance)
        assert "flux@" in provenance["models"] and "local folder" in provenance["licence"]
    assert isinstance(nose, PerseError) and "no nose" in str(nose)
    again = config.build(head_model).edit(tracked_astronaut, asked[1])
    assert np.abs(again.image.astype(int) - earrings.image).max() <= 2 and again.key == earrings.key
