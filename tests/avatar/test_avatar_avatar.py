"""The avatar as a whole: parts stay apart, both decoders keep the contract, nothing is lost on disk."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import torch
from synthetic_avatar import NETWORKS, PART_BASES, started, synthetic_avatar
from tolerances import CHAIN

from perse.attributes import Category
from perse.avatar import Avatar, interpolate, load_avatar, mix_edits, save_avatar
from perse.avatar.canonical import N_ATTRIBUTES, OPACITY
from perse.avatar.naive import naive_canonicalise
from perse.avatar.storage import DESCRIPTION_FILE, TENSORS_FILE
from perse.errors import InputError


@pytest.fixture(scope="module")
def avatar(head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    return synthetic_avatar(head_model, tiny_clips)


@pytest.fixture(scope="module", params=[PART_BASES, NETWORKS], ids=["part_bases", "networks"])
def either(request, head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    return synthetic_avatar(head_model, tiny_clips, decoder=request.param)


def test_the_reference_gets_nothing_from_any_basis(avatar: Avatar) -> None:
    reference = avatar.latents.reference
    coefficients = avatar.decoder.coefficients(reference[None], reference)
    assert not coefficients.any()
    with torch.no_grad():
        for basis in avatar.decoder.bases:
            basis.add_(1.0)
        moved = avatar.canonicalise(reference).attributes
        for basis in avatar.decoder.bases:
            basis.sub_(1.0)
        assert torch.equal(moved, avatar.canonicalise(reference).attributes)


def test_hairs_code_reaches_no_point_outside_hairs_region(avatar: Avatar) -> None:
    reference = avatar.latents.reference
    edited = mix_edits(reference, {Category.HAIR: torch.randn(8)})
    before, after = avatar.canonicalise(reference).attributes, avatar.canonicalise(edited).attributes
    region = avatar.decoder.regions[:, Category.HAIR.index]
    assert torch.equal(before[~region], after[~region])
    assert (before[region] != after[region]).any()


def test_parts_add_up_and_where_they_meet_the_stronger_prevails(avatar: Avatar) -> None:
    """A mix changes a point like the single edit that reaches it; where two do, neither its opacity nor the rest more
    than the stronger one."""
    reference = avatar.latents.reference
    codes = avatar.subject_codes()
    rows = [1, 2]  # hair and hat: their regions overlap
    base = avatar.canonicalise(reference).attributes
    single = [avatar.canonicalise(codes[row]).attributes - base for row in rows]
    edits = {avatar.subjects[row].category: codes[row, avatar.subjects[row].category.index] for row in rows}
    both = avatar.canonicalise(mix_edits(reference, edits)).attributes - base
    reached = torch.stack([change.abs().amax(-1) > 0 for change in single])
    alone = ~reached.all(0)
    assert alone.any() and reached.all(0).any()
    # Differences of float32 logits up to ten.
    torch.testing.assert_close(both[alone], (single[0] + single[1])[alone], atol=1e-4, rtol=1e-4)
    opacity = torch.arange(N_ATTRIBUTES) == OPACITY
    for chosen in (opacity, ~opacity):
        first, second, mixed = (
            (change / avatar.decoder.units)[~alone][:, chosen].norm(dim=-1) for change in (*single, both)
        )
        assert (mixed <= torch.maximum(first, second) * 1.001 + 1e-5).all()


def test_edits_begin_as_the_clips_show_them(avatar: Avatar, head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]

    start, _ = started(head_model, tiny_clips)
    attributes = avatar.canonicalise(avatar.subject_codes()).attributes
    difference = attributes - attributes[:1]
    # Float32: a pseudo-inverse and its product, of logits up to ten; 1e-6 here.
    torch.testing.assert_close(difference, start.edits, **CHAIN)


def test_holding_pivots_frees_the_way_between_them_and_nothing_else(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    clips = [*tiny_clips, tiny_clips[2]]  # two hats
    avatar = synthetic_avatar(head_model, clips)
    decoder, reference = avatar.decoder, avatar.latents.reference.detach()
    codes, hat = avatar.subject_codes().detach(), Category.HAT.index
    with torch.no_grad():
        decoder.bases[hat].add_(torch.randn_like(decoder.bases[hat]))
    before = avatar.canonicalise(codes).attributes
    decoder.hold_pivots(codes, reference, avatar.features_categories)
    # Float32 logits up to ten, projected onto the pivots' span and back.
    torch.testing.assert_close(avatar.canonicalise(codes).attributes, before, atol=1e-4, rtol=1e-4)
    half_way = interpolate(codes[2], codes[6], 0.5)
    middle = avatar.canonicalise(half_way).attributes
    change = torch.randn_like(decoder.bases[hat])
    with torch.no_grad():
        decoder.bases[hat].add_(decoder.free_part(hat, change, reference))
    torch.testing.assert_close(avatar.canonicalise(codes).attributes, before, atol=1e-4, rtol=1e-4)  # as above
    assert (avatar.canonicalise(half_way).attributes - middle).abs().max() > 0.01
    assert not decoder.coefficients(reference[None], reference).any()


def test_only_the_drawn_categories_get_a_gradient(avatar: Avatar) -> None:
    avatar.zero_grad(set_to_none=True)
    avatar.canonicalise(avatar.subject_codes(torch.tensor([0, 2]))).attributes.square().sum().backward()
    touched = [k for k, basis in enumerate(avatar.decoder.bases) if basis.grad is not None]
    assert touched == [avatar.subjects[2].category.index]
    avatar.zero_grad(set_to_none=True)


def test_several_subjects_at_once_equal_one_by_one(either: Avatar, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    codes = either.subject_codes().detach()
    parameters = tiny_clips[0][0].parameters.frame(torch.arange(3))
    together = either.pose(either.canonicalise(codes), parameters, torch.tensor([4, 0, 1]))
    for frame, row in enumerate((4, 0, 1)):
        alone = either.pose(either.canonicalise(codes[row]), parameters.frame(slice(frame, frame + 1)))
        for name in ("means", "quats", "scales", "opacities", "colors"):
            torch.testing.assert_close(getattr(together, name)[frame], getattr(alone, name)[0], **CHAIN)


def test_the_naive_networks_equal_the_split_ones(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    networks = synthetic_avatar(head_model, tiny_clips, decoder=NETWORKS)
    with torch.no_grad():
        networks.decoder.deform.out.weight.normal_(0, 0.05)
    codes = networks.subject_codes().detach()
    fast = networks.decoder.canonicalise(codes, codes[0])
    naive = naive_canonicalise(networks.decoder, codes)
    for name in ("attributes", "skinning"):
        torch.testing.assert_close(
            getattr(fast, name), getattr(naive, name), rtol=1e-3, atol=2e-4
        )  # W [x; z] is summed as W_x x + W_z z, nine layers deep
    torch.testing.assert_close(networks.decoder.blend_bases(fast), naive.blend_basis, rtol=1e-3, atol=1e-5)
    assert (naive.blend_basis - networks.decoder.blend_basis).abs().max() > 1e-4
    posed = [networks.pose(c, tiny_clips[0][0].parameters, torch.arange(12) % 3).means for c in (fast, naive)]
    torch.testing.assert_close(*posed, rtol=1e-3, atol=1e-5)  # float32 through nine layers, as above; metres


def test_the_networks_begin_as_the_head_model(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """Last layers of MLP_d start at zero: E, P, W and x_fc are the mesh's, whatever z is."""
    networks = synthetic_avatar(head_model, tiny_clips, decoder=NETWORKS)
    canonical = networks.canonicalise(networks.subject_codes())
    bases = networks.decoder.blend_bases(canonical)
    assert torch.equal(bases, networks.decoder.blend_basis.expand_as(bases))
    torch.testing.assert_close(canonical.skinning, networks.decoder.prior_skinning().expand_as(canonical.skinning))
    rest = networks.decoder.positions + networks.decoder.closing
    torch.testing.assert_close(canonical.means, rest.expand_as(canonical.means))


def test_saving_and_loading_changes_nothing(either: Avatar, tmp_path, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    save_avatar(either, tmp_path)
    again = load_avatar(tmp_path)
    assert again.subjects == either.subjects
    assert again.config == either.config
    assert torch.equal(again.card.camera.intrinsics, either.card.camera.intrinsics)
    assert again.card.expression_names == either.card.expression_names
    assert torch.equal(again.subject_codes(), either.subject_codes())
    codes = interpolate(either.subject_codes()[1], either.subject_codes()[2], 0.3).detach()
    parameters = tiny_clips[0][0].parameters.frame(torch.arange(2))
    ours, theirs = (a.pose(a.canonicalise(codes), parameters) for a in (either, again))
    assert torch.equal(ours.means, theirs.means)
    assert torch.equal(ours.colors, theirs.colors)


def test_no_pickle_is_written(avatar: Avatar, tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_avatar(avatar, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [DESCRIPTION_FILE, TENSORS_FILE]


@pytest.mark.parametrize("damage", ["missing", "truncated", "not json", "old format", "other sizes"])
def test_a_damaged_avatar_is_refused_in_one_sentence(avatar: Avatar, tmp_path, damage: str) -> None:  # type: ignore[no-untyped-def]
    save_avatar(avatar, tmp_path)
    description = tmp_path / DESCRIPTION_FILE
    if damage == "missing":
        description.unlink()
    elif damage == "truncated":
        (tmp_path / TENSORS_FILE).write_bytes((tmp_path / TENSORS_FILE).read_bytes()[:1000])
    elif damage == "not json":
        description.write_text("{")
    else:
        content = json.loads(description.read_text())
        if damage == "old format":
            content["format"] = 0
        else:
            content["decoder"]["rank"] += 1
        description.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        load_avatar(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [None, [], {}, "x", -1, 1e308, [None], {"kind": "part_bases"}], ids=str)
def test_a_strangers_description_is_taken_or_refused(avatar: Avatar, tmp_path, wrong: object) -> None:  # type: ignore[no-untyped-def]
    save_avatar(avatar, tmp_path)
    description = tmp_path / DESCRIPTION_FILE
    sound = json.loads(description.read_text())
    spoiled = [wrong, *({**sound, key: wrong} for key in sound)]
    spoiled += [
        {**sound, outer: {**inner, key: wrong}}
        for outer, inner in sound.items()
        if isinstance(inner, dict)
        for key in inner
    ]
    for content in spoiled:
        description.write_text(json.dumps(content))
        with suppress(InputError):
            load_avatar(tmp_path)


def test_an_unknown_subject_is_named(avatar: Avatar) -> None:
    with pytest.raises(KeyError, match="no subject 'nobody'"):
        avatar.row("nobody")
    assert avatar.row(avatar.subjects[3].key) == 3
