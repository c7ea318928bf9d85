"""Training of one more attribute of a trained avatar, from its clip (P A.4).

With part bases it gets a column of its own, and points that only it needs (`perse.avatar.added_parts`); everything else
is frozen. With networks MLP_z, MLP_d and MLP_c get low-rank updates (`perse.training.lora`), as in the paper, which are
merged into their weights in the end. Either way the result is an avatar like any other, with one more subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, CanonicalGaussians, Subject
from perse.avatar.added_parts import AddedPart, AttributeStart
from perse.avatar.networks import Networks
from perse.avatar.new_attribute import NewAttributeConfig, attribute_start
from perse.avatar.part_bases import PartBases
from perse.data import PortraitClip
from perse.errors import InputError
from perse.head import HeadModel
from perse.render import Rasterizer, Rendering, rasterize
from perse.training.clips import ClipStore, FrameBatch
from perse.training.config import LossConfig
from perse.training.lora import LoraConfig, LoraTransfer
from perse.training.objective import ImageObjective


@dataclass(frozen=True, kw_only=True)
class ColumnConfig:
    """Numbers of learning a column."""

    epochs: int = 16
    """Times that every frame of the clip is seen."""
    rate: float = 4e-2
    """Adam's, falling to a tenth; in units of `attribute_units`."""
    start: NewAttributeConfig = field(default_factory=NewAttributeConfig)
    """Where it begins."""


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """Numbers of learning an attribute."""

    frames_per_step: int = 4
    """Frames that one step looks at."""
    column: ColumnConfig = field(default_factory=ColumnConfig)
    """Of the part-bases decoder."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Of the networks decoder."""
    losses: LossConfig = field(default_factory=LossConfig)
    """Image losses."""
    seed: int = 0
    """Of the order of frames and of first weights."""


@dataclass(frozen=True, kw_only=True)
class NewAttribute:
    """Attribute to be learned: its clip and its features.

    Attributes:
        subject: its row of the table.
        image, text: [w], f_I and f_T.
        reference, clip: training frames of the unedited person and of the new subject.
    """

    subject: Subject
    image: Float[Tensor, " w"]
    text: Float[Tensor, " w"]
    reference: PortraitClip
    clip: PortraitClip

    @property
    def category(self) -> Category:
        assert self.subject.category is not None, "the reference is no attribute"
        return self.subject.category


def learn_attribute(
    avatar: Avatar,
    new: NewAttribute,
    model: HeadModel,
    config: TransferConfig,
    *,
    rasterizer: Rasterizer,
    tick: Callable[[float], None] | None = None,
) -> list[float]:
    """Loss of every step of teaching the avatar, which is changed.

    Args:
        avatar: trained; on its device.
        model: the head model that it was made with.
        tick: told the share of steps that are done.

    Raises:
        InputError: the avatar knows this attribute, has no room for it, or has a decoder that cannot learn one.
    """
    if any(subject.key == new.subject.key for subject in avatar.subjects):
        raise InputError(f"this avatar has {new.subject.text!r} already; nothing was changed")
    if isinstance(avatar.decoder, PartBases):
        return _learn_column(avatar, avatar.decoder, new, model, config, rasterizer, tick)
    if isinstance(avatar.decoder, Networks):
        avatar.add_subject(new.subject, new.image, new.text)
        lesson = LoraTransfer(avatar, config.lora, seed=config.seed)
        frames = _Frames(avatar, new.clip, config, rasterizer)
        return lesson.learn(frames.batches(config.lora.epochs), frames.masked_loss, new, tick)
    raise InputError(f"a decoder of the kind {avatar.config.decoder.kind} cannot learn attributes after its training")


def _learn_column(
    avatar: Avatar, decoder: PartBases, new: NewAttribute, model: HeadModel, config: TransferConfig,
    rasterizer: Rasterizer, tick: Callable[[float], None] | None,
) -> list[float]:  # fmt: skip
    column = config.column
    start = attribute_start(avatar, model, new.reference, new.clip, new.category, column.start, seed=config.seed)
    code = _add_column(avatar, decoder, new, start)
    part = decoder.parts[-1]
    frames = _Frames(avatar, new.clip, config, rasterizer)
    batches = list(frames.batches(column.epochs))
    adam = torch.optim.Adam([part.change], lr=column.rate, betas=(0.9, 0.99), eps=1e-15)
    losses = []
    without = _without(avatar, part, code)
    units = decoder.units[None]
    for step, batch in enumerate(batches):
        adam.param_groups[0]["lr"] = column.rate * 0.1 ** (step / len(batches))
        adam.zero_grad(set_to_none=True)
        own = without.attributes.index_add(1, part.members, (part.change * units)[None])
        loss = frames.loss(replace(without, attributes=own), batch)
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
        if tick is not None:
            tick((step + 1) / len(batches))
    return losses


@torch.no_grad()
def _add_column(avatar: Avatar, decoder: PartBases, new: NewAttribute, start: AttributeStart) -> Tensor:
    """The decoder's column and the table's row; the code z [k, d]. If there is no room nothing is changed."""
    k, reference = new.category.index, avatar.latents.reference
    table = avatar.subjects, avatar.features_image, avatar.features_text, avatar.features_categories
    row = avatar.add_subject(new.subject, new.image, new.text)
    codes = avatar.subject_codes()
    own = [r for r in range(row) if int(avatar.features_categories[r]) == k]
    offsets = codes[own, k] - reference[k]
    held = [part.offset for part in decoder.parts if int(part.category) == k]
    others = [one for one in offsets if not any(torch.allclose(one, other, atol=1e-5) for other in held)]
    try:
        decoder.add_part(
            new.category, codes[row, k] - reference[k],
            torch.stack(others) if others else offsets.new_zeros(0, codes.shape[-1]), start,
        )  # fmt: skip
    except InputError:
        avatar.subjects, avatar.features_image, avatar.features_text, avatar.features_categories = table
        raise
    return codes[row].detach()


@torch.no_grad()
def _without(avatar: Avatar, part: AddedPart, code: Tensor) -> CanonicalGaussians:
    """The new subject without its column: it never changes while the column is learned."""
    change = part.change.clone()
    part.change.zero_()
    canonical = avatar.canonicalise(code[None])
    part.change.copy_(change)
    return canonical.detach()


class _Frames:
    """The clip, and what the avatar shows in its place."""

    def __init__(self, avatar: Avatar, clip: PortraitClip, config: TransferConfig, rasterizer: Rasterizer) -> None:
        self._avatar, self._config, self._rasterizer = avatar, config, rasterizer
        self._store = ClipStore([clip])
        self._motion = avatar.skeleton(clip.parameters.to(avatar.device))
        self._camera = clip.camera.to(avatar.device)
        self._objective = ImageObjective(config.losses).to(avatar.device)
        self._white = torch.ones(3, device=avatar.device)

    def batches(self, epochs: int) -> Iterator[Sequence[int]]:
        """Frames of every step: all of them once an epoch, shuffled."""
        size, rng = self._config.frames_per_step, np.random.default_rng(self._config.seed)
        for _ in range(epochs):
            order = rng.permutation(self._store.n_frames).tolist()
            yield from (order[i : i + size] for i in range(0, len(order), size))

    def loss(self, canonical: CanonicalGaussians, frames: Sequence[int]) -> Tensor:
        """Of whole pictures of one subject: Eq. 11."""
        rendering, target = self._drawn(canonical, frames)
        return self._objective(rendering, target).total

    def masked_loss(
        self, canonical: CanonicalGaussians, frames: Sequence[int], mask: Tensor, elsewhere: float
    ) -> Tensor:
        """Inside the part, [f, h, w] bool of all frames; other pixels count by a share. A mean over the frames."""
        rendering, target = self._drawn(canonical, frames)
        outside = target.images.float() / 255
        total = self._objective.of_part(rendering, target.images, outside, mask[list(frames)], elsewhere)
        return total / len(frames)

    def _drawn(self, canonical: CanonicalGaussians, frames: Sequence[int]) -> tuple[Rendering, FrameBatch]:
        avatar, count = self._avatar, len(frames)
        target = self._store.batch([0] * count, frames).to(avatar.device)
        motion = self._motion[torch.tensor(frames, device=avatar.device)]
        of_frame = torch.zeros(count, dtype=torch.long, device=avatar.device)
        gaussians = avatar.pose(canonical, motion, of_frame)
        gaussians = avatar.seen_from(self._camera, gaussians)
        drawn = rasterize(gaussians, self._camera, background=self._white, rasterizer=self._rasterizer)
        return drawn, target
