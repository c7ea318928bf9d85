"""The production editor: one sentence in, one edited portrait out, by pretrained models (P 4.2, Eq. 6–9).

::

    portrait ── keypoints ──► mask portrait I_text ── segmenter ──► M_text ─┐
        │                                                                   ├─ M_edit ──► inpaint ──► I_edit
        └── hair, hat: inpaint M_hair ──► I_shortcut ── segmenter ──────────┘                │
    masks of I_edit ◄── segmenter ◄──────────────────────────────────────────────────────────┘

Outside the edit mask the result is the photograph to the pixel. There are no attachments: what is painted is painted.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeVar

import numpy as np

from perse.attributes import CATEGORY_PARTS
from perse.curves import smoothstep
from perse.data import AttributePrompt, EditedPortrait, PartMasks, TrackedPortrait
from perse.data.keys import edit_key
from perse.errors import GenerationError, PerseError, PromptError
from perse.head import HeadModel
from perse.shapes import ByteMask, Picture, SoftMask
from perse.synthesis.compositing import put_part
from perse.synthesis.production.inpainting import FluxControlNetInpainterConfig, InpainterConfig, InpaintRequest
from perse.synthesis.production.keypoints import KeypointsConfig, LandmarkKeypointsConfig
from perse.synthesis.production.mask_logic import (
    SHORTCUT_CATEGORIES,
    SHORTCUT_PROMPT,
    MaskConfig,
    composite,
    edit_region,
    merged_masks,
    shortcut_region,
    text_mask,
)
from perse.synthesis.production.mask_portrait import MaskPortraitRequest, SdxlMaskPortraitConfig
from perse.synthesis.production.model_store import digest, weights_in
from perse.synthesis.production.placed_region import placed_region
from perse.synthesis.production.segmenter import SegmenterConfig, TransformersSegmenterConfig
from perse.synthesis.seams import PortraitEditor

Made = TypeVar("Made")

_SEEN_CHANGE = (8.0, 24.0)
"""Grey levels between which a changed pixel comes to count as the new part, where no segmenter can say."""

_SEEDS_APART = 7919
"""Between the attempts of one prompt; a prime, so that no two prompts of a run meet."""


@dataclass(frozen=True, kw_only=True)
class DiffusionEditorConfig:
    """Models of each step of the diagram above. Part of the content key of every edit."""

    keypoints: KeypointsConfig = field(default_factory=LandmarkKeypointsConfig)
    """Draws the pose."""
    mask_portrait: SdxlMaskPortraitConfig = field(default_factory=SdxlMaskPortraitConfig)
    """Makes I_text."""
    segmenter: SegmenterConfig = field(default_factory=TransformersSegmenterConfig)
    """Parses every picture."""
    masks: MaskConfig = field(default_factory=MaskConfig)
    """From parts to regions."""
    inpainter: InpainterConfig = field(default_factory=FluxControlNetInpainterConfig)
    """Makes I_shortcut and I_edit."""
    mask_attempts: int = 2
    """Mask portraits tried for a prompt, each with its own seed, until one shows the part."""

    def build(self, head: HeadModel) -> PortraitEditor:
        """Editor with its models in memory.

        Raises:
            MissingWeightsError: one line with what is missing.
        """
        return DiffusionEditor(self)


class DiffusionEditor:
    """Editor by pretrained models; see the module. Deterministic in (portrait, prompt), up to batched rounding."""

    def __init__(self, config: DiffusionEditorConfig) -> None:
        """
        Raises:
            MissingWeightsError: one line with what is missing.
        """
        self._config = config
        self._used = tuple(weights_in(config))
        self._digests = tuple((weights.name, digest(weights.locate())) for weights in self._used)
        self._keypoints = config.keypoints.build()
        self._segmenter = config.segmenter.build()
        self._mask_portraits = config.mask_portrait.build()
        self._inpainter = config.inpainter.build()
        self._shortcuts: dict[str, _Shortcut] = {}

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        """See `PortraitEditor.edit`.

        Raises:
            PromptError: the prompt has no sentence.
            GenerationError: no mask portrait shows the part, or a picture is black, NaN, filtered or too large.
        """
        outcome = self.edit_many(portrait, [prompt])[0]
        if isinstance(outcome, PerseError):
            raise outcome
        return outcome

    def edit_many(
        self, portrait: TrackedPortrait, prompts: Sequence[AttributePrompt]
    ) -> list[EditedPortrait | PerseError]:
        """Edits of one portrait in the pipelines' batches; a prompt that fails takes no other with it."""
        batch = _Batch(portrait, tuple(prompts))
        batch.fail_where(lambda prompt: None if prompt.text.strip() else _no_sentence(prompt))
        self._find_text_masks(batch)
        self._prepare_shortcuts(batch)
        self._paint(batch)
        return [batch.outcomes[i] for i in range(len(batch.prompts))]

    def _find_text_masks(self, batch: _Batch) -> None:
        """M_text of every prompt, trying further seeds where a mask portrait does not show the part."""
        portrait = batch.portrait
        for i in batch.open:
            if not self._segmenter.knows(batch.prompts[i].category):
                category = batch.prompts[i].category
                batch.attempt(i, partial(placed_region, portrait, category), batch.text_masks)
        drawn: Picture | None = None
        last: dict[int, PerseError] = {}
        for attempt in range(self._config.mask_attempts):
            rows = [i for i in batch.open if i not in batch.text_masks]
            if not rows:
                return
            drawn = self._keypoints.draw(portrait, self._mask_portraits.size_px) if drawn is None else drawn
            wanted = [self._mask_request(portrait, batch.prompts[i], drawn, attempt) for i in rows]
            for i, picture in zip(rows, self._mask_portraits.make(wanted), strict=True):
                try:
                    batch.text_masks[i] = self._text_mask(portrait, batch.prompts[i], picture)
                except PerseError as error:
                    last[i] = error
        for i in batch.open:
            if i not in batch.text_masks:
                batch.outcomes[i] = last[i]

    def _mask_request(
        self, portrait: TrackedPortrait, prompt: AttributePrompt, drawn: Picture, attempt: int
    ) -> MaskPortraitRequest:
        height, width = portrait.image.shape[:2]
        return MaskPortraitRequest(drawn, prompt.text, prompt.seed + attempt * _SEEDS_APART, (height, width))

    def _text_mask(
        self, portrait: TrackedPortrait, prompt: AttributePrompt, picture: Picture | GenerationError
    ) -> SoftMask:
        if isinstance(picture, GenerationError):
            raise picture
        parts = self._segmenter.segment(picture)
        return text_mask(parts, prompt.category, portrait.face_width_px, self._config.masks)

    def _prepare_shortcuts(self, batch: _Batch) -> None:
        """I_shortcut for hair and hats, once a portrait."""
        for i in batch.open:
            if batch.prompts[i].category in SHORTCUT_CATEGORIES:
                batch.attempt(i, partial(self._shortcut, batch.portrait), batch.shortcuts)

    def _shortcut(self, portrait: TrackedPortrait) -> _Shortcut:
        if portrait.key not in self._shortcuts:
            region = shortcut_region(portrait.masks, portrait.face_width_px, self._config.masks)
            self._shortcuts = {portrait.key: self._inpainted_shortcut(portrait, region)}  # of one portrait at a time
        return self._shortcuts[portrait.key]

    def _inpainted_shortcut(self, portrait: TrackedPortrait, region: SoftMask) -> _Shortcut:
        if not (region > 0).any():  # nothing to take off
            return _Shortcut(portrait.image, portrait.masks, np.zeros(region.shape, np.uint8))
        picture = self._inpainter.inpaint([InpaintRequest(portrait.image, region, SHORTCUT_PROMPT, seed=0)])[0]
        if isinstance(picture, GenerationError):
            raise GenerationError(f"the old hair could not be taken off: {picture}")
        image, changed = composite(portrait.image, picture, region)
        parts = self._segmenter.parse(image, portrait.landmarks_px)
        return _Shortcut(image, merged_masks(portrait.masks, parts, changed), changed)

    def _paint(self, batch: _Batch) -> None:
        """I_edit of every prompt that is still open."""
        rows = list(batch.open)
        regions = [self._region(batch, i) for i in rows]
        requests = [
            InpaintRequest(batch.below(i), region, batch.prompts[i].text, batch.prompts[i].seed)
            for i, region in zip(rows, regions, strict=True)
        ]
        for i, region, picture in zip(rows, regions, self._inpainter.inpaint(requests), strict=True):
            if isinstance(picture, GenerationError):
                batch.outcomes[i] = picture
            else:
                batch.attempt(i, partial(self._finished, batch, i, region, picture), batch.outcomes)

    def _region(self, batch: _Batch, i: int) -> SoftMask:
        portrait, shortcut = batch.portrait, batch.shortcuts.get(i)
        return edit_region(
            batch.prompts[i].category,
            portrait.masks,
            batch.text_masks[i],
            portrait.face_width_px,
            self._config.masks,
            shortcut=shortcut.masks if shortcut else None,
        )

    def _finished(self, batch: _Batch, i: int, region: SoftMask, picture: Picture) -> EditedPortrait:
        portrait, prompt, shortcut = batch.portrait, batch.prompts[i], batch.shortcuts.get(i)
        image, edit_mask = composite(batch.below(i), picture, region)
        if shortcut is not None:
            edit_mask = np.maximum(edit_mask, shortcut.changed)
        parts = self._segmenter.parse(image, portrait.landmarks_px)
        if not self._segmenter.knows(prompt.category):
            parts = _with_new_part(parts, portrait, image, prompt, region)
        return EditedPortrait(
            key=edit_key(portrait.key, prompt, self._config, repr(self._digests)),
            prompt=prompt,
            image=image,
            masks=merged_masks(portrait.masks, parts, edit_mask),
            edit_mask=edit_mask,
            attachments=(),
            underlay=None,
            provenance=(*self._provenance, ("seed", str(prompt.seed))),
        )

    @cached_property
    def _provenance(self) -> tuple[tuple[str, str], ...]:
        licences = dict.fromkeys(f"{weights.name}: {weights.licence}" for weights in self._used)
        return (
            ("backend", f"diffusion, {type(self._config.inpainter).__name__.removesuffix('Config')}"),
            ("licence", "; ".join(licences)),
            ("models", ", ".join(f"{name}@{value}" for name, value in self._digests)),
        )


@dataclass(frozen=True)
class _Shortcut:
    """I_shortcut: picture, parts, and what it changed."""

    image: Picture
    masks: PartMasks
    changed: ByteMask


class _Batch:
    """Prompts of one portrait on their way; each is open until it has an outcome."""

    def __init__(self, portrait: TrackedPortrait, prompts: tuple[AttributePrompt, ...]) -> None:
        self.portrait, self.prompts = portrait, prompts
        self.outcomes: dict[int, EditedPortrait | PerseError] = {}
        self.text_masks: dict[int, SoftMask] = {}
        self.shortcuts: dict[int, _Shortcut] = {}

    @property
    def open(self) -> list[int]:
        """Numbers of the prompts without an outcome."""
        return [i for i in range(len(self.prompts)) if i not in self.outcomes]

    def below(self, i: int) -> Picture:
        """The picture that prompt i is painted on."""
        return self.shortcuts[i].image if i in self.shortcuts else self.portrait.image

    def fail_where(self, problem: Callable[[AttributePrompt], PerseError | None]) -> None:
        """Close prompts that have a problem."""
        for i in self.open:
            if (error := problem(self.prompts[i])) is not None:
                self.outcomes[i] = error

    def attempt(self, i: int, make: Callable[[], Made], results: MutableMapping[int, Made]) -> None:
        """Keep what is made for prompt i, or close it with the error."""
        try:
            results[i] = make()
        except PerseError as error:
            self.outcomes[i] = error


def _no_sentence(prompt: AttributePrompt) -> PromptError:
    return PromptError(f"prompt {prompt.key} has no sentence; the diffusion editor reads the text and nothing else")


def _with_new_part(
    parts: PartMasks, portrait: TrackedPortrait, image: Picture, prompt: AttributePrompt, region: SoftMask
) -> PartMasks:
    """Parts of the edited picture where its segmenter has no class for the new one: what visibly changed is it."""
    change = np.abs(image.astype(np.float32) - portrait.image).mean(-1)
    return put_part(parts, CATEGORY_PARTS[prompt.category][0], region * smoothstep(change, *_SEEN_CHANGE))
