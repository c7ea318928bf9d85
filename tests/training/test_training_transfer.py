"""An attribute learned after the training: by a column of its own, and by low-rank updates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_avatar import NETWORKS, START, synthetic_avatar
from synthetic_subjects import Look, film
from torch.nn.utils import parametrize

from perse.attributes import Category
from perse.avatar import Avatar, Subject
from perse.avatar.new_attribute import NewAttributeConfig
from perse.data import PortraitClip
from perse.errors import InputError
from perse.evaluation.transfer_scores import PartOfPicture, score_transfer
from perse.render import CpuRasterizer
from perse.synthesis.motion import load_motion
from perse.training.lora import LoraConfig, LoraTransfer
from perse.training.transfer import ColumnConfig, NewAttribute, TransferConfig, learn_attribute

CONFIG = TransferConfig(
    column=ColumnConfig(epochs=8, start=NewAttributeConfig(shell_points=300, body_points=50, watched=START)),
    lora=LoraConfig(epochs=8, rate=1e-2),
)


@pytest.fixture(scope="module")
def hat_clip(head_model) -> PortraitClip:  # type: ignore[no-untyped-def]
    look = Look(Category.HAT, hat=(0.9, 0.1, 0.8), hat_m=0.045)
    return film(head_model, look, load_motion(head_model), np.arange(0, 480, 40), 64)


def new_hat(clip: PortraitClip, reference: PortraitClip) -> NewAttribute:
    image, text = torch.randn(2, 64, generator=torch.Generator().manual_seed(9))
    subject = Subject(clip.key, Category.HAT, "A person wearing a pink hat")
    return NewAttribute(subject=subject, image=image, text=text, reference=reference, clip=clip)


def test_a_column_learns_the_attribute_and_leaves_the_others_alone(head_model, tiny_clips, hat_clip) -> None:  # type: ignore[no-untyped-def]
    before, avatar = (synthetic_avatar(head_model, tiny_clips) for _ in range(2))
    reference = tiny_clips[0][0]
    new = new_hat(hat_clip, reference)
    losses = learn_attribute(avatar, new, head_model, CONFIG, rasterizer=CpuRasterizer())
    assert np.mean(losses[-3:]) < 0.9 * losses[0]  # of an untrained avatar: most of it is elsewhere
    assert all(parameter.requires_grad for parameter in avatar.parameters())

    source = PartOfPicture(hat_clip.images[0], hat_clip.parts[0] == 11, 11)
    old = [clip for clip, _ in tiny_clips]
    scores, pictures = score_transfer(before, avatar, reference, hat_clip, old, source, CpuRasterizer())
    assert scores.old_difference == 0 and scores.old_change_db == 0
    assert scores.part_psnr > 15  # with the reference's own picture there it is 8
    assert scores.part_distance < scores.other_distance
    assert len(pictures.strip) == 9
    with pytest.raises(InputError, match="already"):
        learn_attribute(avatar, new, head_model, CONFIG, rasterizer=CpuRasterizer())


def trained_a_little(avatar: Avatar) -> Avatar:
    """MLP_d starts with zeros, of which no low-rank update could be told from another."""
    with torch.no_grad():
        avatar.decoder.deform.out.weight.normal_(0, 0.01)  # type: ignore[union-attr]
    return avatar


def test_low_rank_updates_learn_and_are_merged(head_model, tiny_clips, hat_clip) -> None:  # type: ignore[no-untyped-def]
    avatar = trained_a_little(synthetic_avatar(head_model, tiny_clips, decoder=NETWORKS))
    names = set(avatar.state_dict())
    losses = learn_attribute(
        avatar, new_hat(hat_clip, tiny_clips[0][0]), head_model, CONFIG, rasterizer=CpuRasterizer()
    )
    assert np.mean(losses[-6:]) < 0.95 * np.mean(losses[:3])
    assert set(avatar.state_dict()) == names
    assert not any(parametrize.is_parametrized(module) for module in avatar.modules())


def test_preservation_holds_the_old_subjects(head_model, tiny_clips, hat_clip) -> None:  # type: ignore[no-untyped-def]
    """L_3d is nothing while the updates are, something afterwards, and a large weight keeps the old codes nearer."""
    moved = []
    for weight in (0.0, 30.0):
        avatar = trained_a_little(synthetic_avatar(head_model, tiny_clips, decoder=NETWORKS))
        with torch.no_grad():
            before = avatar.canonicalise(avatar.subject_codes()).attributes
        config = replace(CONFIG, lora=replace(CONFIG.lora, preservation=weight))
        learn_attribute(avatar, new_hat(hat_clip, tiny_clips[0][0]), head_model, config, rasterizer=CpuRasterizer())
        with torch.no_grad():
            after = avatar.canonicalise(avatar.subject_codes()[:-1]).attributes
        moved.append(float((after - before).abs().mean()))
    assert moved[1] < 0.5 * moved[0]

    lesson = LoraTransfer(avatar, CONFIG.lora, seed=0)
    assert float(lesson.preservation(len(tiny_clips)).detach()) == 0
    with torch.no_grad():
        lesson.updates[0].b.normal_()
    assert float(lesson.preservation(len(tiny_clips)).detach()) > 0
    lesson.merge()
