"""From words to codes."""

from __future__ import annotations

import pytest
import torch
from tolerances import SINGLE

from perse.attributes import Category
from perse.errors import InputError
from perse.export import at_rest, freeze, mixed_code, parse_mix


def test_the_empty_mix_is_the_reference(avatar) -> None:  # type: ignore[no-untyped-def]
    assert torch.equal(mixed_code(avatar, {}), avatar.latents.reference)


def test_wearing_a_subject_is_its_code(avatar, hat) -> None:  # type: ignore[no-untyped-def]
    row = avatar.row(next(iter(hat[Category.HAT])))
    assert torch.allclose(mixed_code(avatar, hat), avatar.subject_codes()[row], atol=SINGLE)


def test_a_mix_changes_only_its_categories(avatar, hat) -> None:  # type: ignore[no-untyped-def]
    mixed = mixed_code(avatar, parse_mix(avatar, ["hat=hat-*0.5"]))
    k = Category.HAT.index
    others = [i for i in range(len(mixed)) if i != k]
    assert torch.equal(mixed[others], avatar.latents.reference[others])
    halfway = (avatar.latents.reference[k] + mixed_code(avatar, hat)[k]) / 2
    assert torch.allclose(mixed[k], halfway, atol=1e-6)  # float32 rounding of latents about one


def test_sentences(avatar, hat) -> None:  # type: ignore[no-untyped-def]
    assert parse_mix(avatar, ["hat=a prompt"]) == hat  # by words of the prompt
    both = parse_mix(avatar, ["hat=hat-*0.5", "beard=beard"])
    assert both[Category.HAT] == {next(iter(hat[Category.HAT])): 0.5} and list(both[Category.BEARD].values()) == [1.0]


@pytest.mark.parametrize(
    "sentence", ["", "hat", "hat=", "hat=crown", "wig=red", "hat=hat-*x", "hat=hat-*9", "nose=long"]
)
def test_what_cannot_be_understood_is_explained(avatar, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as caught:
        parse_mix(avatar, [sentence])
    assert len(str(caught.value)) > 20


def test_freezing_leaves_out_what_nobody_sees(avatar) -> None:  # type: ignore[no-untyped-def]
    scene = freeze(avatar, avatar.latents.reference, at_rest(avatar))
    assert scene.n_frames == 1
    assert (scene.still().opacities >= 1 / 255).all() and 0 < len(scene.still()) <= avatar.n_gaussians
    assert torch.allclose(scene.still().quats.norm(dim=-1), torch.ones(len(scene.still())))
