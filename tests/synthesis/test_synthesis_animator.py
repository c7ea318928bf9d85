"""The procedural animator on the sample portrait: faithful at its own pose, plausible elsewhere, edits stay local."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt, EditedPortrait, PartMasks, TrackedPortrait, Underlay
from perse.errors import RecipeError
from perse.head import HeadModel, HeadParameters, Joint, pose_head, rest_vertices
from perse.synthesis.procedural.animator import LiftedPortrait, ProceduralAnimator, ProceduralAnimatorConfig
from perse.synthesis.procedural.animator.closed_mouth import _contour
from perse.synthesis.procedural.animator.frames import drawn_vertices
from perse.synthesis.procedural.animator.own_pose import take_own_pose
from perse.synthesis.procedural.animator.surface import HeadSurface, TriangleKind, build_surface
from perse.synthesis.procedural.editing import ProceduralEditor, ProceduralEditorConfig
from perse.synthesis.seams import Shot
from perse.tracking import MediapipeTracker, MediapipeTrackerConfig, detect_landmarks
from perse.tracking.landmarks import (
    FACE_OVAL,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS_INNER,
    LIPS_LOWER_INNER,
    LIPS_OUTER,
    MOUTH_CORNERS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from perse.tracking.lip_correspondence import LOWER_COLUMNS
from perse.tracking.polygons import contour_mask
from tests.tracking.test_tracking_spectacles import wearing

SIZE = 256


@pytest.fixture(scope="module")
def portrait(head_model: HeadModel, astronaut: np.ndarray) -> TrackedPortrait:
    return MediapipeTracker(MediapipeTrackerConfig(), head_model).track(astronaut)


@pytest.fixture(scope="module")
def animator(head_model: HeadModel) -> ProceduralAnimator:
    return ProceduralAnimator(ProceduralAnimatorConfig(), head_model)


@pytest.fixture(scope="module")
def lifted(animator: ProceduralAnimator, portrait: TrackedPortrait) -> LiftedPortrait:
    return animator.lift(portrait)


def _shot(portrait: TrackedPortrait, *angles: tuple[float, float, float] | None, size: int = SIZE, **actions) -> Shot:  # type: ignore[no-untyped-def]
    """Frames at (yaw, pitch, roll) in degrees with the portrait's own expression; None is its own pose."""
    own = portrait.head
    pose = own.pose.repeat(len(angles), 1, 1)
    for index, angle in enumerate(angles):
        if angle is not None:
            vector = Rotation.from_euler("YXZ", angle, degrees=True).as_rotvec()
            pose[index, Joint.NECK] = torch.from_numpy(vector).float()
    expression = own.expression.repeat(len(angles), 1)
    for index, value in actions.items():
        expression[:, int(index.removeprefix("e"))] = value
    motion = HeadParameters(own.betas, own.vertex_offsets, expression, pose)
    return Shot(np.arange(len(angles), dtype=np.int32), motion, size)


def _edited(portrait: TrackedPortrait, category: Category, image, masks, mask) -> EditedPortrait:  # type: ignore[no-untyped-def]
    prompt = AttributePrompt("test-0", category, (), "a test", 0)
    return EditedPortrait("edited", prompt, image, masks, mask, (), None, ())


def _repainted(portrait: TrackedPortrait, inside: np.ndarray, color, part: Part) -> tuple[np.ndarray, PartMasks]:  # type: ignore[no-untyped-def]
    image, soft = portrait.image.copy(), portrait.masks.soft.copy()
    image[inside] = color
    soft[:, inside] = 0
    soft[part, inside] = 255
    person = portrait.masks.person.copy()
    person[inside] = 255
    return image, PartMasks(soft, person)


def test_own_pose_gives_the_photograph_back(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    clip = animator.animate(portrait, None, _shot(portrait, None, size=portrait.image.shape[0]))
    face = np.isin(portrait.masks.labels, (Part.SKIN, Part.NOSE, Part.MOUTH, Part.EYES, Part.BROWS)).astype(np.uint8)
    face = cv2.erode(face, np.ones((7, 7), np.uint8)) > 0
    error = (clip.images[0].astype(float) - portrait.image)[face]
    assert 10 * np.log10(255**2 / (error**2).mean()) >= 30


def test_outline_of_the_hair_agrees_with_the_matte(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    clip = animator.animate(portrait, None, _shot(portrait, None))
    matte = cv2.resize(portrait.masks.person, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    chin = int(portrait.landmarks_px[152, 1] * SIZE / portrait.image.shape[0])
    drawn, true = clip.alphas[0, :chin] > 127, matte[:chin] > 127
    assert (drawn & true).sum() / (drawn | true).sum() > 0.97
    soft = (clip.alphas[0, :chin] > 20) & (clip.alphas[0, :chin] < 235)
    assert soft.sum() > 50  # hair has no cut-out edge


def test_frames_are_over_white_and_labelled(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    clip = animator.animate(portrait, None, _shot(portrait, (30, 0, 0), (-30, 10, 5)))
    assert clip.images.shape == (2, SIZE, SIZE, 3) and clip.images.dtype == np.uint8
    assert (clip.images[clip.alphas == 0] == 255).all()
    assert ((clip.parts == Part.BACKGROUND) == (clip.alphas <= 127)).all()
    for part in (Part.SKIN, Part.HAIR, Part.EYES, Part.NOSE, Part.MOUTH, Part.BROWS, Part.CLOTHES):
        assert (clip.parts == part).any((1, 2)).all(), part
    assert (clip.camera.width, clip.camera.height) == (SIZE, SIZE)
    torch.testing.assert_close(clip.parameters.betas, portrait.head.betas)


def test_the_same_shot_gives_the_same_bytes(head_model: HeadModel, portrait: TrackedPortrait) -> None:
    shot = _shot(portrait, (20, -10, 5), size=128)
    clips = [ProceduralAnimator(ProceduralAnimatorConfig(), head_model).animate(portrait, None, shot) for _ in range(2)]
    assert (clips[0].images == clips[1].images).all() and (clips[0].parts == clips[1].parts).all()


def test_frames_do_not_depend_on_their_company(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    together = animator.animate(portrait, None, _shot(portrait, (25, 0, 0), None, size=128))
    alone = animator.animate(portrait, None, _shot(portrait, None, size=128))
    assert np.abs(together.images[1].astype(int) - alone.images[0]).max() <= 1  # batched skinning rounds differently


@pytest.mark.parametrize("yaw", [-20, 20])
def test_a_detector_finds_the_face_where_the_parameters_say(
    animator: ProceduralAnimator, portrait: TrackedPortrait, head_model: HeadModel, yaw: float
) -> None:
    clip = animator.animate(portrait, None, _shot(portrait, (yaw, 0, 0), size=512))
    found = detect_landmarks(clip.images[0])
    assert found is not None
    posed = pose_head(head_model, clip.parameters.frame(0))
    expected, _ = clip.camera.project(head_model.landmarks(posed.vertices))
    ids = head_model.landmark_ids.numpy()
    inner = ~np.isin(ids, FACE_OVAL)  # the oval slides along the outline of a turned head
    away = np.linalg.norm(found[ids][inner, :2] - expected.numpy()[inner], axis=1) * SIZE / 512
    assert np.median(away) < 2.5


def test_eyes_close_and_the_mouth_opens(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    names = animator.lift(portrait).surface.model.expression_names
    blink = {f"e{names.index('eyeBlink' + side)}": 1.0 for side in ("Left", "Right")}
    opened = animator.animate(portrait, None, _shot(portrait, (0, 0, 0)))
    closed = animator.animate(portrait, None, _shot(portrait, (0, 0, 0), **blink))
    assert (closed.parts == Part.EYES).sum() < 0.3 * (opened.parts == Part.EYES).sum()
    shot = _shot(portrait, (0, 0, 0))
    shot.motion.pose[:, Joint.JAW, 0] = 0.45
    wide = animator.animate(portrait, None, shot)
    assert (wide.parts == Part.MOUTH).sum() > 1.3 * (opened.parts == Part.MOUTH).sum()


def test_an_edit_changes_nothing_outside_itself(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    lips = portrait.masks[Part.MOUTH] > 0.5
    image, masks = _repainted(portrait, lips, (150, 20, 60), Part.MOUTH)
    edited = _edited(portrait, Category.BEARD, image, masks, lips.astype(np.uint8) * 255)  # not a reshaping edit
    shot = _shot(portrait, None, (30, 0, 0), (-20, 15, 5))
    before, after = animator.animate(portrait, None, shot), animator.animate(portrait, edited, shot)
    changed = (before.images != after.images).any(-1)
    near_mouth = np.stack([cv2.dilate((p == Part.MOUTH).astype(np.uint8), np.ones((13, 13))) > 0 for p in before.parts])
    assert changed.any((1, 2)).all()
    assert not (changed & ~near_mouth).any()
    assert (before.alphas == after.alphas).all()


def test_a_painted_hat_gets_volume(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    """A tall hat in image and masks alone stands above the old outline in turned views as well."""
    hair = portrait.masks[Part.HAIR] > 0.5
    rows, columns = np.nonzero(hair)
    yy, xx = np.mgrid[: hair.shape[0], : hair.shape[1]]
    crown, middle = rows.min(), columns.mean()
    dome = ((xx - middle) / (0.5 * np.ptp(columns))) ** 2 + ((yy - (crown + 40)) / 85.0) ** 2 < 1
    dome &= yy < crown + 60
    image, masks = _repainted(portrait, dome, (40, 90, 160), Part.HEADWEAR)
    edited = _edited(portrait, Category.HAT, image, masks, dome.astype(np.uint8) * 255)
    shot = _shot(portrait, (30, 0, 0), (-30, 0, 0))
    before, after = animator.animate(portrait, None, shot), animator.animate(portrait, edited, shot)
    for old, new, parts in zip(before.alphas, after.alphas, after.parts, strict=True):
        assert np.nonzero((new > 127).any(1))[0].min() < np.nonzero((old > 127).any(1))[0].min() - 6
        assert (parts == Part.HEADWEAR).sum() > 1500


def test_without_hair_the_skull_stays_as_fitted(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    hair = portrait.masks.labels == Part.HAIR
    soft, image = portrait.masks.soft.copy(), portrait.image.copy()
    soft[Part.BACKGROUND, hair] = 255
    soft[Part.HAIR] = 0
    masks = PartMasks(soft, np.where(hair, 0, portrait.masks.person).astype(np.uint8))
    mask = cv2.dilate(hair.astype(np.uint8) * 255, np.ones((5, 5), np.uint8))
    bald = animator.lift(portrait, _edited(portrait, Category.HAIR, image, masks, mask))
    reference = animator.lift(portrait)
    assert reference.cover.max() > 0.9 and bald.cover[bald.surface.rest[:, 1] > 0.03].max() < 0.05
    assert np.linalg.norm(reference.displacement, axis=1).max() > 0.015
    crown = bald.surface.outer & (bald.surface.rest[:, 1] > 0.08)
    assert np.linalg.norm(bald.displacement[crown], axis=1).max() < 1e-3  # metres: hair stands off by centimetres


def test_a_parting_lower_than_the_fitted_skull_is_no_bald_patch(
    animator: ProceduralAnimator, portrait: TrackedPortrait, lifted: LiftedPortrait
) -> None:
    """A skull fitted too high stands before the wall where the hair is parted: that says nothing of its cover."""
    surface = lifted.surface
    bare = take_own_pose(surface, portrait.head, portrait.camera, np.zeros_like(lifted.displacement))
    facing = surface.outer & (bare.facing > 0.2)
    crown = facing & (bare.pixels[:, 1] < bare.pixels[facing, 1].min() + 4)
    x, y = bare.pixels[crown, :2].mean(0).astype(int)
    soft, person = portrait.masks.soft.copy(), portrait.masks.person.copy()
    notch = np.s_[: y + 8, x - 16 : x + 16]
    soft[Part.BACKGROUND][notch] = 255
    soft[Part.HAIR][notch], person[notch] = 0, 0
    parted = replace(portrait, masks=PartMasks(soft, person))
    assert crown.sum() > 3 and (animator.lift(parted).cover[crown] > 0.5).all()


def test_a_long_beard_hangs_from_the_jaw(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    """Painted over neck and clothes, it moves with the opening jaw and leaves the body behind it as it was."""
    x, y = portrait.landmarks_px[152, :2]
    yy, xx = np.mgrid[: len(portrait.image), : len(portrait.image)]
    beard = (np.abs(xx - x) < 30) & (yy > y - 15) & (yy < y + 60)
    image, masks = _repainted(portrait, beard, (240, 240, 240), Part.BEARD)
    edited = _edited(portrait, Category.BEARD, image, masks, beard.astype(np.uint8) * 255)
    lifted = animator.lift(portrait, edited)
    assert [sheet.joint for sheet in lifted.sheets] == [Joint.JAW]
    assert (lifted.body.rgb == animator.lift(portrait).body.rgb)[beard].mean() > 0.99
    shot = _shot(portrait, (0, 0, 0), (0, 0, 0))
    shot.motion.pose[1, Joint.JAW, 0] += 0.3
    shut, wide = (np.nonzero((p == Part.BEARD).any(1))[0].max() for p in animator.animate(portrait, edited, shot).parts)
    assert wide > shut + 3


def test_attachments_are_drawn_onto_the_underlay(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    """A plate before the forehead: labelled as it says, turning with the head; hair beneath a thing lies flat."""
    plate = _plate(portrait, animator)
    prompt = AttributePrompt("test-1", Category.HAT, (), "a test", 0)
    mask = np.zeros(portrait.image.shape[:2], np.uint8)
    underlay = Underlay(portrait.image, portrait.masks)
    edited = EditedPortrait("worn", prompt, portrait.image, portrait.masks, mask, (plate,), underlay, ())
    shot = _shot(portrait, (-25, 0, 0), (25, 0, 0))
    before, after = animator.animate(portrait, None, shot), animator.animate(portrait, edited, shot)
    centres = [np.nonzero(parts == Part.HEADWEAR)[1].mean() for parts in after.parts]
    assert centres[1] > centres[0] + 10  # the nose, and the plate with it, turned to the picture's right
    assert not (before.parts == Part.HEADWEAR).any()
    feet = slice(int(0.8 * SIZE), None)
    assert (before.images[:, feet] == after.images[:, feet]).all()
    pressed = animator.lift(portrait, replace(edited, attachments=(_sunk(plate),)))
    reference = animator.lift(portrait)
    assert (np.linalg.norm(pressed.displacement, axis=1) <= np.linalg.norm(reference.displacement, axis=1) + 1e-6).all()
    assert np.abs(pressed.displacement - reference.displacement).max() > 0.002


def _plate(portrait: TrackedPortrait, animator: ProceduralAnimator) -> Attachment:
    model = animator.lift(portrait).surface.model
    top = rest_vertices(model, portrait.head)[model.regions == 0].max(0).values.numpy()
    x, y = np.meshgrid([-0.03, 0.0, 0.03], [top[1] - 0.05, top[1] - 0.02])
    vertices = np.stack([x, y, np.full_like(x, top[2] + 0.02)], -1).reshape(-1, 3).astype(np.float32)
    forward = np.repeat(np.array([[0, 0, 1]], np.float32), 6, 0)
    return Attachment(
        name="plate",
        part=Part.HEADWEAR,
        vertices=vertices,
        normals=forward,
        tangents=np.repeat(np.array([[1, 0, 0]], np.float32), 6, 0),
        faces=np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]], np.int32),
        uvs=np.full((6, 2), 0.5, np.float32),
        texture=np.full((4, 4, 4), (200, 30, 30, 255), np.uint8),
        head_weight=np.ones(6, np.float32),
        occlusion=np.ones(6, np.float32),
    )


def _sunk(plate: Attachment) -> Attachment:
    """The plate moved into the hair."""
    return replace(plate, vertices=(0.8 * plate.vertices).astype(np.float32))


def _shaded_around_the_eyes(portrait: TrackedPortrait) -> TrackedPortrait:
    eyes = cv2.dilate(portrait.masks[Part.EYES], np.ones((45, 45), np.uint8))  # farther than an eye is taken out
    shade = 1 - 0.4 * cv2.GaussianBlur(eyes, (0, 0), 4)[..., None]
    return replace(portrait, key="shaded", image=(portrait.image * shade).astype(np.uint8))


def test_lids_cover_both_eyes(lifted: LiftedPortrait) -> None:
    assert len(lifted.lids) == 2
    for lid in lifted.lids:
        assert lid.weight.max() > 0.95 and lid.rgb.shape[:2] == lid.weight.shape[:2]


def test_the_shade_around_open_eyes_does_not_make_closed_lids_dark(
    animator: ProceduralAnimator, portrait: TrackedPortrait, lifted: LiftedPortrait
) -> None:
    """The shade of lashes goes away when the eye shuts, that of the socket stays: the lid lies between the shade, .6 of
    the skin, and the skin."""
    shaded = animator.lift(_shaded_around_the_eyes(portrait))
    for before, after in zip(lifted.lids, shaded.lids, strict=True):
        lid = before.weight[..., 0] > 0.9
        assert 0.66 < after.rgb[lid].mean() / before.rgb[lid].mean() < 0.9


def test_a_closed_lid_meets_the_shade_around_it_without_a_step(
    animator: ProceduralAnimator, portrait: TrackedPortrait
) -> None:
    """Nor may it be lighter than its border all around. Measured: 4 and 9 of 255; a lid of lit skin 13 and 17."""
    lifted = animator.lift(_shaded_around_the_eyes(portrait))
    for lid in lifted.lids:
        box = slice(lid.top, lid.top + lid.rgb.shape[0]), slice(lid.left, lid.left + lid.rgb.shape[1])
        opened, weight = lifted.texture[box][..., :3].astype(np.float32), lid.weight[..., 0]
        border = (weight > 0.02) & (weight < 0.3) & (lid.rgb.mean(-1) > 70)  # without the lashes
        assert border.sum() > 300 and (lid.rgb - opened)[border].mean() < 11


def test_a_shut_lid_ends_at_the_lower_lid(
    animator: ProceduralAnimator, portrait: TrackedPortrait, lifted: LiftedPortrait
) -> None:
    """The model's blink has one length for all eyes: this person's lids would pass each other, or not meet."""
    model = lifted.surface.model
    names = model.expression_names
    expression = torch.zeros(model.n_expression)
    expression[[names.index("eyeBlinkLeft"), names.index("eyeBlinkRight")]] = 1.0
    head = HeadParameters(portrait.head.betas, portrait.head.vertex_offsets, expression, torch.zeros(model.n_joints, 3))
    posed = pose_head(model, head)
    place = {int(mark): index for index, mark in enumerate(model.landmark_ids)}
    pairs = [*zip(LEFT_UPPER_LID, LEFT_LOWER_LID, strict=True), *zip(RIGHT_UPPER_LID, RIGHT_LOWER_LID, strict=True)]
    middle = [(place[upper], place[lower]) for upper, lower in pairs if upper in (385, 386, 387, 158, 159, 160)]
    gaps = []
    for shown in (None, expression):
        drawn = drawn_vertices(lifted, posed.vertices.numpy(), posed.transforms.numpy(), shown)
        marks = model.landmarks(torch.from_numpy(drawn[: model.n_vertices])).numpy()
        gaps.append(np.abs([marks[upper, 1] - marks[lower, 1] for upper, lower in middle]).mean())
    # Metres: a third of a millimetre is less than a pixel of a clip.
    assert len(middle) == 6 and gaps[1] < 3e-4 and gaps[1] < 0.3 * gaps[0]


def test_closed_lids_take_the_edge_of_an_open_eye_away(
    animator: ProceduralAnimator, portrait: TrackedPortrait, lifted: LiftedPortrait
) -> None:
    """A ring drawn around the eyes, as lashes, make-up and the fold make it, goes away when they shut."""
    eyes = cv2.dilate(portrait.masks[Part.EYES], np.ones((7, 7), np.uint8)) > 0.5
    ring = (cv2.dilate(eyes.astype(np.uint8), np.ones((4, 4), np.uint8)) > 0) & ~eyes
    image = portrait.image.copy()
    image[ring] = (image[ring] * 0.35).astype(np.uint8)
    made_up = animator.lift(replace(portrait, key="made up", image=image))
    for before, after in zip(lifted.lids, made_up.lids, strict=True):
        box = slice(after.top, after.top + after.rgb.shape[0]), slice(after.left, after.left + after.rgb.shape[1])

        def change(first: np.ndarray, second: np.ndarray) -> float:
            return float(np.quantile(np.abs(first.astype(np.float32) - second).mean(-1), 0.95))

        shut = [
            lift.texture[box][..., :3] * (1 - lid.weight) + lid.rgb * lid.weight
            for lift, lid in ((lifted, before), (made_up, after))
        ]
        opened = change(lifted.texture[box][..., :3], made_up.texture[box][..., :3])
        assert opened > 25 and change(*shut) < 0.35 * opened


def test_an_edit_of_the_brows_has_lids_of_the_same_size(
    animator: ProceduralAnimator, portrait: TrackedPortrait, lifted: LiftedPortrait
) -> None:
    """Thick low brows reach into what is taken out of the photograph around the eyes."""
    low = np.roll(portrait.masks[Part.BROWS] > 0.3, 6, axis=0)
    image, masks = _repainted(portrait, low, (60, 40, 30), Part.BROWS)
    mask = (255 * cv2.dilate(low.astype(np.uint8), np.ones((3, 3), np.uint8))).astype(np.uint8)
    edited = animator.lift(portrait, _edited(portrait, Category.EYEBROWS, image, masks, mask))
    for before, after in zip(lifted.lids, edited.lids, strict=True):
        assert (after.top, after.left, after.rgb.shape) == (before.top, before.left, before.rgb.shape)


def test_spectacles_stand_before_the_eyes_and_every_edit_keeps_them(
    animator: ProceduralAnimator, portrait: TrackedPortrait, lifted: LiftedPortrait
) -> None:
    picture, drawn = wearing(portrait.image, portrait.landmarks_px)
    shown = animator.lift(replace(portrait, key="spectacles", image=picture))
    worn = {sheet.attachment.name: sheet.attachment for sheet in shown.sheets}
    assert lifted.spectacles is None and {"spectacles", "temple"} <= set(worn)
    eyes = shown.surface.of_kind(TriangleKind.LEFT_EYE, TriangleKind.RIGHT_EYE)
    rest = shown.surface.mixture @ rest_vertices(shown.surface.model, portrait.head).numpy()
    assert worn["spectacles"].vertices[:, 2].max() > rest[eyes, 2].max() + 0.008  # metres, to the front
    assert worn["temple"].vertices[:, 2].min() < rest[eyes, 2].min() and (worn["spectacles"].head_weight == 1).all()
    size = portrait.image.shape[0]
    frame = animator.animate(replace(portrait, key="spectacles", image=picture), None, _shot(portrait, None, size=size))
    line = drawn > 200
    gone = animator.animate(portrait, None, _shot(portrait, None, size=size)).images[0].astype(float)
    near = [np.abs(frame.images[0].astype(float) - other)[line].mean() for other in (picture, gone)]
    assert near[0] < 0.4 * near[1]  # in the photograph's own pose they are where they were
    mask = np.zeros_like(line)
    mask[: size // 6] = True
    edit = _edited(portrait, Category.HAIR, *_repainted(portrait, mask, (90, 60, 30), Part.HAIR), mask.astype(np.uint8))
    kept = animator.lift(replace(portrait, key="spectacles", image=picture), edit)
    again = {sheet.attachment.name: sheet.attachment for sheet in kept.sheets}
    np.testing.assert_array_equal(again["spectacles"].vertices, worn["spectacles"].vertices)
    np.testing.assert_array_equal(again["spectacles"].texture, worn["spectacles"].texture)


def test_a_laugh_closes_without_its_folds(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    """Dark strokes beside the corners of a mouth are gone at rest where it laughs, and stay where it smiles."""
    frames = []
    for gap in (0.07, 0.11):  # face widths
        marks = portrait.landmarks_px.copy()
        marks[13, :2] = marks[14, :2] - [0, gap * portrait.face_width_px]
        folded = portrait.image.copy()
        for corner, side in zip(MOUTH_CORNERS, (1, -1), strict=True):
            x, y = (marks[corner, :2] + [side * 3, 0]).astype(int)
            cv2.line(folded, (x, y - 7), (x, y + 7), (90, 50, 40), 3)
        laughing = replace(portrait, key=f"{gap}", image=folded, landmarks_px=marks)
        frames.append(animator.animate(laughing, None, _shot(portrait, None)).images[0].astype(float))
    plain = animator.animate(portrait, None, _shot(portrait, None)).images[0].astype(float)
    smile, laugh = (np.clip(plain - frame, 0, None).max(-1) for frame in frames)
    assert np.sort(laugh.ravel())[-60:].mean() < 0.6 * np.sort(smile.ravel())[-60:].mean()


def test_a_scream_closes_to_lips(
    animator: ProceduralAnimator, portrait: TrackedPortrait, lifted: LiftedPortrait
) -> None:
    """The same picture with a wide hole for a mouth: its lips become the head's own, and the skin below has no red."""
    marks = portrait.landmarks_px.copy()
    low = [mark for column in LOWER_COLUMNS for mark in column] + list(LIPS_LOWER_INNER[1:-1])
    marks[low, 1] += 0.2 * portrait.face_width_px
    opening = contour_mask(marks[list(LIPS_INNER), :2], portrait.image.shape[:2]) > 0.5
    lips = contour_mask(marks[list(LIPS_OUTER), :2], portrait.image.shape[:2]) > 0.5
    image, masks = _repainted(portrait, lips, (200, 40, 50), Part.MOUTH)
    image[opening] = (40, 15, 15)
    screaming = replace(portrait, key="scream", image=image, masks=masks, landmarks_px=marks)
    shut = animator.lift(screaming)
    height, width = lifted.surface.atlas_size
    rest = lifted.surface.on_texels(lifted.surface.rest)
    mouth = _contour(lifted.surface, LIPS_OUTER)
    # Metres: places on the head, no tolerance.
    below = (np.abs(rest[..., 0]) < 0.01) & (rest[..., 1] < mouth[:, 1].min() - 0.003) & (rest[..., 2] > 0.05)
    below &= rest[..., 1] > mouth[:, 1].min() - 0.010
    within = shut.labels[:height, :width] == Part.MOUTH
    assert below.sum() > 200 and within.sum() > 200
    redness = shut.texture[:height, :width, 0].astype(float) - shut.texture[:height, :width, 1]
    assert redness[within].mean() > 90 and redness[below].mean() < 60
    moved = np.linalg.norm(shut.displacement - lifted.displacement, axis=1)
    # Metres: it moves at all, less than a lip's height; float32 rounding elsewhere.
    assert 1e-4 < moved.max() < 0.03 and moved[lifted.surface.rest[:, 1] > 0].max() < 1e-6


def test_the_outline_of_hair_is_as_soft_as_the_matte(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    """In the photograph's own pose; a hard line around a pale band is a third off."""
    alpha = animator.animate(portrait, None, _shot(portrait, None, size=portrait.image.shape[0])).alphas[0] / 255.0
    matte = portrait.masks.person / 255.0
    hair = cv2.dilate(portrait.masks[Part.HAIR], np.ones((15, 15), np.uint8)) > 0.5
    hair[int(portrait.landmarks_px[152, 1]) :] = False
    band = hair & (matte > 0.1) & (matte < 0.6)
    assert band.sum() > 500 and np.abs(alpha - matte)[band].mean() < 0.2  # .12; with made-up tips there .28


def test_a_model_without_texture_coordinates_is_refused(head_model: HeadModel) -> None:
    bare = replace(head_model, uvs=torch.zeros(0, 2), uv_faces=torch.zeros(0, 3, dtype=torch.int64))
    with pytest.raises(RecipeError, match="UV"):
        ProceduralAnimator(ProceduralAnimatorConfig(), bare)


def test_refinement_leaves_no_cracks(head_model: HeadModel) -> None:
    """A T-junction would open edges inside the surface: the length of all open edges must stay what it was."""
    coarse, fine = (build_surface(head_model, 400.0, longest) for longest in (1.0, 0.010))
    assert len(fine.faces) > 1.3 * len(coarse.faces)
    assert _open_length(fine) == pytest.approx(_open_length(coarse), rel=1e-4)  # float32 lengths of some hundred edges
    np.testing.assert_allclose(np.asarray(fine.mixture.sum(1)).ravel(), 1, atol=1e-5)  # float32 sums of a few weights


def _open_length(surface: HeadSurface) -> float:
    edges = np.sort(np.stack([surface.faces, np.roll(surface.faces, -1, 1)], -1).reshape(-1, 2), 1)
    edges, counts = np.unique(edges, axis=0, return_counts=True)
    lone = edges[counts == 1]
    return float(np.linalg.norm(surface.rest[lone[:, 0]] - surface.rest[lone[:, 1]], axis=1).sum())


def test_mismatched_shot_is_refused(animator: ProceduralAnimator, portrait: TrackedPortrait) -> None:
    shot = _shot(portrait, None, None)
    with pytest.raises(ValueError, match="frame numbers"):
        animator.animate(portrait, None, Shot(np.arange(3, dtype=np.int32), shot.motion, 64))


def test_bare_shoulders_stay_with_the_body(
    animator: ProceduralAnimator, lifted: LiftedPortrait, portrait: TrackedPortrait
) -> None:
    """Skin that the head's surface has no neck for: with the shoulder bared the body is where it was."""
    soft = portrait.masks.soft.copy()
    size = soft.shape[1]
    shoulder = np.zeros(soft.shape[1:], bool)
    shoulder[round(0.88 * size) :, round(0.3 * size) : round(0.7 * size)] = True
    soft[Part.NECK] = np.where(shoulder, soft[Part.NECK] + soft[Part.CLOTHES], soft[Part.NECK])
    soft[Part.CLOTHES][shoulder] = 0
    bared = replace(portrait, key="bared", masks=PartMasks(soft, portrait.masks.person))
    body = animator.lift(bared).body
    inside = cv2.erode(shoulder.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert lifted.body.alpha[inside].mean() > 0.95
    assert body.alpha[inside].mean() > 0.95 and (body.labels[inside] == Part.NECK).mean() > 0.9
    np.testing.assert_array_equal(body.alpha[: round(0.7 * size)], lifted.body.alpha[: round(0.7 * size)])


def test_a_garment_put_on_a_crop_that_ends_at_the_neck_is_filmed_whole(
    animator: ProceduralAnimator, head_model: HeadModel, astronaut: np.ndarray
) -> None:
    """A person fades out before the photograph's border; of a hoodie only the hood was left, above a bust of skin."""
    tight = MediapipeTracker(MediapipeTrackerConfig(), head_model).track(astronaut[:245])
    assert (tight.inside[-20:] == 0).all()
    hoodie = AttributePrompt(
        "hoodie", Category.CLOTHES, (("garment", "hoodie"), ("color", "orange")), "an orange hoodie", 0
    )
    edited = ProceduralEditor(ProceduralEditorConfig(), head_model).edit(tight, hoodie)
    clip = animator.animate(tight, edited, _shot(tight, None))
    garment = cv2.resize(edited.masks[Part.CLOTHES], (SIZE, SIZE), interpolation=cv2.INTER_AREA) > 0.99
    below = garment & (cv2.resize(tight.inside, (SIZE, SIZE), interpolation=cv2.INTER_AREA) == 0)
    assert below.sum() > 1000
    assert (clip.alphas[0][below] > 200).mean() > 0.99
    picture = cv2.resize(edited.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(clip.images[0].astype(int) - picture)[below].mean() < 6  # levels; drawn at half the crop's size
    bare = animator.animate(tight, None, _shot(tight, None))
    assert (bare.alphas[0][below] < 20).mean() > 0.9  # without a garment everybody ends where the photograph does
