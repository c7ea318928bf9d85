"""Ablation recipes: each differs in one thing, and the thing does what its name says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from synthetic_avatar import NETWORKS, PART_BASES, synthetic_avatar

from perse.attributes import Category
from perse.avatar import LatentConfig, LatentSpace, SubjectFeatures
from perse.errors import RecipeError
from perse.recipes import laptop, recipe_named, tiny
from perse.recipes.ablations import FLAT, ablations, with_curriculum
from perse.render import CpuRasterizer
from perse.training import ClipStore, Trainer, TrainingConfig


def differences(a: object, b: object, prefix: str = "") -> set[str]:
    """Names of the fields in which two configurations differ."""
    if type(a) is not type(b):
        return {prefix}
    if not hasattr(a, "__dataclass_fields__"):
        return set() if a == b else {prefix}
    return {d for f in a.__dataclass_fields__ for d in differences(getattr(a, f), getattr(b, f), f"{prefix}.{f}")}


@pytest.mark.parametrize("recipe", [laptop(), tiny()], ids=["laptop", "tiny"])
def test_each_variant_differs_from_its_group_in_one_thing(recipe) -> None:  # type: ignore[no-untyped-def]
    found = ablations(recipe)
    base = recipe
    for name, variant in found.items():
        if name in ("part bases", "networks"):
            base = variant
            continue
        assert len(differences(base, variant)) == 1, name
        assert (variant.filming, variant.prompts, variant.start) == (recipe.filming, recipe.prompts, recipe.start)


def test_a_recipe_of_another_decoder_is_refused() -> None:
    with pytest.raises(RecipeError, match="part bases"):
        ablations(recipe_named("paper"))


def test_a_curriculum_trains_what_lies_on_the_surface_first(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """By the recipe's own numbers, in the very steps of a training."""
    stages = with_curriculum(laptop()).training.curriculum
    assert {c for _, names in stages for c in names} == set(Category)
    config = TrainingConfig(steps=60, edits_per_step=2, warmup_steps=2, curriculum=stages)
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=PART_BASES)
    trainer = Trainer(avatar, ClipStore([clip for clip, _ in tiny_clips]), config, rasterizer=CpuRasterizer())
    seen: list[set[Category]] = []
    for step in range(60):
        rows = trainer.sample(step).subjects
        seen.append({avatar.subjects[row].category for row in rows if row})  # type: ignore[misc]
    assert set().union(*seen[:20]) <= set(FLAT) and any(seen[:20])
    assert not set().union(*seen[20:]) <= set(FLAT)
    hair = avatar.decoder.bases[Category.HAIR.index]
    before = hair.detach().clone()
    for _ in range(6):
        trainer.step()
    assert torch.equal(hair, before), "hair has not joined"


def test_without_part_wise_latents_all_edits_share_a_row() -> None:
    features = SubjectFeatures(torch.randn(3, 8), torch.randn(3, 8), torch.tensor([-1, 4, 7]))
    config = LatentConfig(dimensions=4, features=8, hidden=8, part_wise=False)
    space = LatentSpace(config, (), features)
    codes, reference = space(features), space.reference
    assert torch.equal(codes[0], reference)
    assert torch.equal(codes[1:, 1:], reference[1:].expand(2, -1, -1))
    assert not torch.isclose(codes[1:, 0], reference[0]).all()


def test_points_stay_and_gaussians_do_not_turn_where_that_is_left_out(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    parameters = tiny_clips[0][0].parameters.frame(torch.tensor([3]))
    for change in ("subject_offsets", "turn_gaussians"):
        avatar = synthetic_avatar(head_model, tiny_clips, decoder=replace(NETWORKS, **{change: False}))
        with torch.no_grad():
            avatar.decoder.deform.out.weight.normal_(0, 0.05)
        decoder, codes = avatar.decoder, avatar.subject_codes().detach()
        features = decoder.deform.features(decoder.positions / 0.15, codes[:2].flatten(1))
        x_sc, _ = decoder.displaced(decoder._offsets_and_skinning(features)[0])
        moved = bool((x_sc - decoder.positions).abs().max() > 1e-6)
        assert moved == (change != "subject_offsets")
        decoder.pose_active = False
        canonical = avatar.canonicalise(codes[1])
        turned = bool((avatar.pose(canonical, parameters).quats[0] - canonical.quats).abs().max() > 1e-3)
        assert turned == (change != "turn_gaussians")
