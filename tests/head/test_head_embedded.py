"""The embedded head: a proper FLAME-like model that moves as a head does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import DOUBLE, SINGLE, SINGLE_SUM

from perse.head import HeadModel, HeadParameters, Joint, Region, pose_head
from perse.head.embedded import embedded_head
from perse.head.jaw import Hinge, fit_hinge, hinge_corrective, hinge_weights
from perse.head.mesh_tools import affine_weights, without_similarity
from perse.head.sources import EmbeddedHead


def at_rest(model: HeadModel, **changes: torch.Tensor) -> HeadParameters:
    values = {
        "betas": torch.zeros(model.n_shape),
        "vertex_offsets": torch.zeros(model.n_vertices, 3),
        "expression": torch.zeros(model.n_expression),
        "pose": torch.zeros(model.n_joints, 3),
    }
    return HeadParameters(**(values | changes))


def turned(model: HeadModel, joint: Joint, axis: int, angle: float) -> torch.Tensor:
    pose = torch.zeros(model.n_joints, 3)
    pose[joint, axis] = angle
    return pose_head(model, at_rest(model, pose=pose)).vertices


def test_head_at_zero_is_its_template(head_model: HeadModel) -> None:
    vertices = pose_head(head_model, at_rest(head_model)).vertices
    torch.testing.assert_close(vertices, head_model.template, atol=SINGLE, rtol=0)


def test_arrays_fit_together(head_model: HeadModel) -> None:
    v, t = head_model.n_vertices, head_model.faces.shape[0]
    assert head_model.shape_basis.shape == (v, 3, head_model.n_shape)
    assert head_model.expression_basis.shape == (v, 3, len(head_model.expression_names))
    assert head_model.pose_basis.shape == (v, 3, 9 * (head_model.n_joints - 1))
    assert head_model.uv_faces.shape == (t, 3)
    assert int(head_model.uv_faces.max()) < len(head_model.uvs)
    assert int(head_model.faces.min()) == 0 and int(head_model.faces.max()) == v - 1
    assert head_model.joint_names == tuple(joint.name.lower() for joint in Joint)
    assert {int(r) for r in head_model.regions.unique()} == {int(r) for r in Region}


def test_skinning_weights_sum_to_one(head_model: HeadModel) -> None:
    weights = head_model.skinning_weights
    assert float(weights.min()) >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)), atol=SINGLE, rtol=0)
    assert float((head_model.joint_regressor.sum(1) - 1).abs().max()) < SINGLE_SUM


def test_it_has_the_size_and_the_axes_of_a_head(head_model: HeadModel) -> None:
    skin = head_model.template[head_model.regions == Region.SKIN]
    joints = head_model.joint_regressor @ head_model.template
    assert 0.12 < float(skin[skin[:, 1] > -0.08, 0].max() - skin[skin[:, 1] > -0.08, 0].min()) < 0.18
    assert joints[Joint.LEFT_EYE, 0] > 0.02 > -0.02 > joints[Joint.RIGHT_EYE, 0]  # x is the person's left
    nose = skin[skin[:, 2].argmax()]
    assert abs(float(nose[0])) < 0.005 and float(nose[2]) > float(joints[Joint.LEFT_EYE, 2])
    assert joints[Joint.NECK, 1] < joints[Joint.JAW, 1] < joints[Joint.LEFT_EYE, 1]


def test_surfaces_face_outwards(head_model: HeadModel) -> None:
    corners = head_model.template[head_model.faces]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outer = (head_model.regions[head_model.faces] == Region.LEFT_EYE).all(1)
    centre = head_model.template[head_model.regions == Region.LEFT_EYE].mean(0)
    assert bool(((corners[outer].mean(1) - centre) * normal[outer]).sum(1).gt(0).all())


def test_actions_of_joints_are_left_to_the_joints(head_model: HeadModel) -> None:
    names = head_model.expression_names
    assert "jawOpen" not in names and not any(name.startswith("eyeLook") for name in names)
    assert {"eyeBlinkLeft", "mouthSmileRight", "mouthPucker", "browInnerUp"} <= set(names)


def test_jaw_joint_opens_the_mouth_and_moves_nothing_above(head_model: HeadModel) -> None:
    moved = turned(head_model, Joint.JAW, 0, 0.4) - head_model.template
    drop = -moved[:, 1]
    lower, upper = head_model.regions == Region.LOWER_TEETH, head_model.regions == Region.UPPER_TEETH
    assert float(drop[lower].mean()) > 0.015
    assert float(moved[upper].norm(dim=1).max()) < SINGLE
    assert float(drop[head_model.regions == Region.TONGUE].max()) > 0.015
    above = head_model.template[:, 1] > 0.02
    # Metres: the jaw's weights fade out, and a millimetre is not seen.
    assert float(moved[above].norm(dim=1).max()) < 1e-3
    ids = head_model.landmark_ids.tolist()
    points = head_model.landmarks(head_model.template + moved)
    gap = points[ids.index(13), 1] - points[ids.index(14), 1]
    assert float(gap) > 0.02


def test_neck_turns_the_head_and_leaves_the_shoulders(head_model: HeadModel) -> None:
    moved = (turned(head_model, Joint.NECK, 1, 0.6) - head_model.template).norm(dim=1)
    low = head_model.template[:, 1] < head_model.template[:, 1].min() + 0.01
    assert float(moved[low].max()) < 2e-3  # metres: the neck's weights fade out; the head moves by centimetres
    assert float(moved[head_model.template[:, 2].argmax()]) > 0.03
    # Smooth in between: no edge of the throat is stretched much.
    first, second = head_model.faces[:, 0], head_model.faces[:, 1]
    after = turned(head_model, Joint.NECK, 1, 0.6)
    skin = (head_model.regions[first] == Region.SKIN) & (head_model.template[first, 1] < -0.06)
    before_length = (head_model.template[first] - head_model.template[second]).norm(dim=1)[skin]
    ratio = (after[first] - after[second]).norm(dim=1)[skin] / before_length
    assert float(ratio.max()) < 2.0 and float(ratio.min()) > 0.4


def test_eye_joint_turns_one_eye_and_its_lids_follow(head_model: HeadModel) -> None:
    moved = turned(head_model, Joint.LEFT_EYE, 0, 0.2) - head_model.template
    left, right = head_model.regions == Region.LEFT_EYE, head_model.regions == Region.RIGHT_EYE
    assert float(moved[left].norm(dim=1).max()) > 0.001
    assert float(moved[right].norm(dim=1).max()) < SINGLE
    skin = moved[head_model.regions == Region.SKIN]
    assert 5e-4 < float((-skin[:, 1]).max()) < 0.01  # looking down lowers the lid


def test_shape_components_carry_neither_position_nor_size(head_model: HeadModel) -> None:
    """The macro components: a camera cannot see the difference, so a fit must not have it twice."""
    above_chin = head_model.template[:, 1] > -0.08
    for component in range(6):
        shift = head_model.shape_basis[above_chin, :, component].mean(0).norm()
        assert float(shift) < 1e-3  # metres: a millimetre is what a landmark is worth


def test_landmarks_lie_where_their_names_say(head_model: HeadModel) -> None:
    ids = head_model.landmark_ids.tolist()
    points = head_model.landmarks(head_model.template)
    assert len(ids) >= 468 and torch.isfinite(points).all()
    tip, chin, forehead = (points[ids.index(i)] for i in (1, 152, 10))
    assert chin[1] < tip[1] < forehead[1] and float(tip[2]) > float(chin[2])
    assert points[ids.index(291), 0] > 0.01 and points[ids.index(61), 0] < -0.01  # mouth corners: left, right
    mirrored = points[ids.index(454)] * torch.tensor([-1.0, 1.0, 1.0])
    assert float((mirrored - points[ids.index(234)]).norm()) < 0.01


def test_inner_corners_of_the_lips_lie_beside_the_outer_ones(head_model: HeadModel) -> None:
    """They once lay at the back of the mouth, where the nearest surface to a point between the lips is."""
    places = dict(zip(head_model.landmark_ids.tolist(), head_model.landmarks(head_model.template), strict=True))
    for inner, outer in ((78, 61), (308, 291)):
        assert (places[inner] - places[outer]).norm() < 0.006  # metres: the lips' thickness at their corners


def test_gradients_agree_with_finite_differences(head_model: HeadModel) -> None:
    model = head_model.to("cpu", torch.float64)
    generator = torch.Generator().manual_seed(1)
    chosen = torch.randint(model.n_vertices, (40,), generator=generator)
    betas = 0.3 * torch.randn(model.n_shape, generator=generator, dtype=torch.float64)
    expression = torch.rand(model.n_expression, generator=generator, dtype=torch.float64)
    pose = 0.2 * torch.randn(model.n_joints, 3, generator=generator, dtype=torch.float64)
    cotangent = torch.randn(40, 3, generator=generator, dtype=torch.float64)

    def value(b: torch.Tensor, e: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        parameters = HeadParameters(b, torch.zeros(model.n_vertices, 3, dtype=torch.float64), e, p)
        return (pose_head(model, parameters).vertices[chosen] * cotangent).sum()

    inputs = [tensor.clone().requires_grad_() for tensor in (betas, expression, pose)]
    gradients = torch.autograd.grad(value(*inputs), inputs)
    for position, gradient in enumerate(gradients):
        direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        step = 1e-6
        ahead, behind = list((betas, expression, pose)), list((betas, expression, pose))
        ahead[position], behind[position] = ahead[position] + step * direction, behind[position] - step * direction
        numeric = (value(*ahead) - value(*behind)) / (2 * step)
        # Central differences in float64: truncation is about step², rounding 1e-10.
        torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-6, atol=1e-8)


def test_batched_frames_equal_single_ones(head_model: HeadModel) -> None:
    generator = torch.Generator().manual_seed(2)
    expression = torch.rand(3, head_model.n_expression, generator=generator)
    pose = 0.3 * torch.randn(3, head_model.n_joints, 3, generator=generator)
    clip = at_rest(head_model, expression=expression, pose=pose)
    together = pose_head(head_model, clip).vertices
    for frame in range(3):
        torch.testing.assert_close(together[frame], pose_head(head_model, clip.frame(frame)).vertices)


def test_cache_is_written_once_and_survives_damage(tmp_path: Path, head_model: HeadModel) -> None:
    first = EmbeddedHead(cache_dir=tmp_path).load()
    (file,) = tmp_path.glob("embedded-head-*.npz")
    assert not list(tmp_path.glob("*.tmp"))
    torch.testing.assert_close(first.template, head_model.template)
    file.write_bytes(file.read_bytes()[:1000])
    again = embedded_head(tmp_path)
    torch.testing.assert_close(again.shape_basis, first.shape_basis)
    assert file.stat().st_size > 1000


@pytest.mark.parametrize("angle", [0.2, 0.4])
def test_hinge_is_recovered_from_a_rigid_motion(angle: float) -> None:
    rng = np.random.default_rng(0)
    true = Hinge(np.array([0.0, 0.5, -0.3]), angle)
    points = rng.normal(size=(30, 3))
    found = fit_hinge(points, true.motion(points))
    assert found.angle == pytest.approx(angle)
    np.testing.assert_allclose(found.centre, true.centre, atol=DOUBLE)
    np.testing.assert_allclose(hinge_weights(found, points, 0.5 * true.motion(points), 0.0), 0.5, atol=DOUBLE)
    anything = rng.normal(scale=0.05, size=(30, 3))
    weights = rng.uniform(size=30)
    corrective = hinge_corrective(found, points, anything, weights)
    blended = np.eye(3) + weights[:, None, None] * (found.matrix() - np.eye(3))
    posed = np.einsum("nij,nj->ni", blended, points + corrective - found.centre) + found.centre
    np.testing.assert_allclose(posed, points + anything, atol=DOUBLE)


def test_affine_weights_follow_affine_maps() -> None:
    rng = np.random.default_rng(1)
    points, goal = rng.normal(size=(12, 3)), np.array([0.3, -0.2, 0.1])
    weights = affine_weights(points, goal)
    matrix, shift = rng.normal(size=(3, 3)), rng.normal(size=3)
    np.testing.assert_allclose(weights @ (points @ matrix.T + shift), matrix @ goal + shift, atol=DOUBLE)


def test_without_similarity_removes_exactly_a_similarity() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(50, 3))
    c, s = np.cos(0.2), np.sin(0.2)
    moved = 1.1 * points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + [0.1, 2.0, -1.0]
    everything = np.ones(50, bool)
    np.testing.assert_allclose(without_similarity(moved - points, points, everything), 0, atol=DOUBLE)
    bend = np.zeros_like(points)
    bend[:, 0] = 0.1 * points[:, 1] ** 2
    assert np.abs(without_similarity(bend, points, everything)).max() > 0.02
