"""The teacher that draws the half-way hat: exact ends, the part where the hat is, and the warp for all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perse.attributes import Category
from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait, archive
from perse.data.workspace import Workspace
from perse.head import HeadModel
from perse.morphing import FrameOrigin, MorphEnd, RedrawMorpher, RedrawMorpherConfig, WarpMorpherConfig, morph_end
from perse.recipes.builtin import tiny
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.prompts import complete
from perse.synthesis.seams import Shot

CLIPS = ("beanie", "cap", "of old", "painted")


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, head_model: HeadModel, tracked_astronaut: TrackedPortrait
) -> Workspace:
    """Two hats, one more whose sheets are not known, and a nose; two frames each."""
    workspace = Workspace.open(tmp_path_factory.mktemp("hats") / "w")
    archive.save_portrait(workspace, tracked_astronaut)
    whole = tiny().filming.shot(head_model)
    shot = Shot(whole.frame_numbers[:2], whole.motion.frame(slice(0, 2)), 96)
    animator = ProceduralAnimatorConfig().build(head_model)
    made = edits(head_model, tracked_astronaut)
    clips = {name: animator.animate(tracked_astronaut, edited, shot) for name, edited in made.items()}
    beanie = made["beanie"]
    bare = tuple(replace(item, sheets=()) for item in beanie.attachments)
    made["of old"] = replace(beanie, key="old", attachments=bare)
    clips["of old"] = replace(clips["beanie"], key="old")  # who knows no sheets is filmed no other way
    for name, edited in made.items():
        archive.save_edit(workspace, edited)
        archive.save_clip(workspace, name, clips[name])
    return workspace


def edits(head_model: HeadModel, portrait: TrackedPortrait) -> dict[str, EditedPortrait]:
    editor = ProceduralEditorConfig().build(head_model)

    def edit(category: Category, **given: str) -> EditedPortrait:
        slots = tuple(sorted(complete(category, given).items()))
        return editor.edit(
            portrait, AttributePrompt(given["kind" if "kind" in given else "width"], category, slots, "", 3)
        )

    beanie, cap = edit(Category.HAT, kind="beanie", color="teal"), edit(Category.HAT, kind="cap", color="red")
    return {"beanie": beanie, "cap": cap, "painted": edit(Category.NOSE, width="wide")}


@pytest.fixture(scope="module")
def ends(place: Workspace, head_model: HeadModel) -> dict[str, MorphEnd]:
    """All in the second frame."""
    files = {name: archive.open_clip(place, name) for name in CLIPS}
    return {
        name: morph_end(file.clip(1), Category.HAT, head_model, FrameOrigin(place, name, int(file.frame_numbers[1])))
        for name, file in files.items()
    }


@pytest.fixture(scope="module")
def morpher() -> RedrawMorpher:
    return RedrawMorpherConfig().build()


def test_ends_are_exact_and_what_is_near_them_is_nearly_them(morpher: RedrawMorpher, ends: dict[str, MorphEnd]) -> None:
    first, second = ends["beanie"], ends["cap"]
    morph = morpher.morph(first, second, [0.0, 1e-3, 0.999, 1.0])
    assert morph.shapes is not None
    for row, end in ((0, first), (3, second)):
        assert np.array_equal(morph.images[row], end.image)
        assert np.array_equal(morph.alphas[row], end.alpha)
        assert np.array_equal(morph.shapes[row], end.shape)
    for row, end in ((1, first), (2, second)):
        # Textures are laid out anew, so texels differ a little; the outline does not.
        assert np.abs(morph.images[row].astype(int) - end.image).mean() < 0.5
        assert (morph.shapes[row] != end.shape).mean() < 2e-3


def test_it_is_drawn_and_not_warped(morpher: RedrawMorpher, ends: dict[str, MorphEnd]) -> None:
    first, second = ends["beanie"], ends["cap"]
    drawn = morpher.morph(first, second, [0.5])
    warped = WarpMorpherConfig().build().morph(first, second, [0.5])
    assert drawn.shapes is not None and not np.array_equal(drawn.images, warped.images)
    # The part mask is where the hat is: as large as between the ends', and of a colour between theirs.
    sizes = sorted(float(end.shape.sum()) for end in (first, second))
    assert 0.8 * sizes[0] < drawn.shapes[0].sum() < 1.2 * sizes[1]
    red, green = drawn.images[0][drawn.shapes[0]].mean(0)[:2]
    means = [end.image[end.shape].mean(0) for end in (first, second)]
    assert means[0][0] < red < means[1][0] and means[1][1] < green < means[0][1]
    # Chin and mouth are those of both ends.
    same = (first.image == second.image).all(-1)
    assert np.abs(drawn.images[0][same].astype(int) - first.image[same]).mean() < 0.5


def test_steps_are_even(morpher: RedrawMorpher, ends: dict[str, MorphEnd]) -> None:
    images = morpher.morph(ends["beanie"], ends["cap"], np.linspace(0, 1, 7)).images.astype(np.float32)
    steps = np.abs(np.diff(images, axis=0)).mean((1, 2, 3))
    assert steps.std() < 0.15 * steps.mean()


def test_another_morpher_and_another_order_make_the_same_bits(
    morpher: RedrawMorpher, ends: dict[str, MorphEnd]
) -> None:
    first, second = ends["beanie"], ends["cap"]
    known = morpher.morph(first, second, [0.25, 0.5])
    anew = RedrawMorpherConfig(kept_subjects=2, ways_mib=0, frames_mib=0).build().morph(first, second, [0.5])
    assert np.array_equal(known.images[1:], anew.images)
    turned = morpher.morph(second, first, [0.75]).images
    assert np.abs(turned.astype(int) - known.images[:1]).mean() < 0.1


@pytest.mark.parametrize("other", ["of old", "painted"])
def test_what_it_cannot_draw_is_warped(morpher: RedrawMorpher, ends: dict[str, MorphEnd], other: str) -> None:
    warped = WarpMorpherConfig().build().morph(ends["cap"], ends[other], [0.5])
    assert np.array_equal(morpher.morph(ends["cap"], ends[other], [0.5]).images, warped.images)


def test_a_clip_that_somebody_else_filmed_is_warped(
    place: Workspace, head_model: HeadModel, ends: dict[str, MorphEnd], morpher: RedrawMorpher
) -> None:
    clip = archive.load_clip(place, "beanie")
    archive.save_clip(place, "other", replace(clip, images=np.asarray(clip.images)[:, :, ::-1].copy()))
    file = archive.open_clip(place, "other")
    mirrored = morph_end(
        file.clip(1), Category.HAT, head_model, FrameOrigin(place, "other", int(file.frame_numbers[1]))
    )
    warped = WarpMorpherConfig().build().morph(ends["cap"], mirrored, [0.5])
    assert np.array_equal(morpher.morph(ends["cap"], mirrored, [0.5]).images, warped.images)


def test_ends_of_no_workspace_are_warped(morpher: RedrawMorpher, ends: dict[str, MorphEnd]) -> None:
    first, second = (replace(ends[name], origin=None) for name in ("beanie", "cap"))
    warped = WarpMorpherConfig().build().morph(first, second, [0.5])
    assert np.array_equal(morpher.morph(first, second, [0.5]).images, warped.images)


def test_painted_subjects_do_not_push_out_what_was_lifted(morpher: RedrawMorpher, ends: dict[str, MorphEnd]) -> None:
    """Most subjects of a workspace are painted; a pool that forgot the hats for them lifted each of them twice."""
    morpher.morph(ends["painted"], ends["beanie"], [0.5])
    morpher.morph(ends["beanie"], ends["cap"], [0.5])
    wearers = morpher._wearers
    assert wearers is not None and not wearers.is_drawn("painted")
    assert wearers._subject.cache_info().currsize == len(set(wearers._drawn) - {"painted"})


def test_what_was_drawn_for_a_pair_is_used_again(morpher: RedrawMorpher, ends: dict[str, MorphEnd]) -> None:
    """A pool that forgot ways and frames made them anew for every request: a third of a fine-tuning's time."""
    morpher.morph(ends["beanie"], ends["cap"], [0.25])
    wearers = morpher._wearers
    assert wearers is not None
    made = wearers._ways.made, wearers._stands.made
    morpher.morph(ends["beanie"], ends["cap"], [0.5, 0.75])
    assert (wearers._ways.made, wearers._stands.made) == made
