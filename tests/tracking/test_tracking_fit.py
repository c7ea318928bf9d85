"""The head fit: known heads are recovered from their own landmarks, and derivatives are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import PIXELS

from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, Joint, Region, pose_head
from perse.tracking.fit import fit_head
from perse.tracking.landmark_model import LandmarkModel
from perse.tracking.landmark_problem import FitConfig

SIZE = 512


def camera() -> Camera:
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[:3, 3] = torch.tensor([0.01, -0.03, 1.5])
    focal = FitConfig().focal_per_width * SIZE
    return Camera(pose, torch.tensor([[focal, 0, SIZE / 2], [0, focal, SIZE / 2], [0, 0, 1]]), SIZE, SIZE)


def known_head(model: HeadModel) -> HeadParameters:
    generator = torch.Generator().manual_seed(3)
    betas = torch.zeros(model.n_shape)
    betas[:30] = 0.7 * torch.randn(30, generator=generator)
    expression = torch.zeros(model.n_expression)
    for name, value in {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "browInnerUp": 0.5}.items():
        expression[model.expression_names.index(name)] = value
    pose = torch.zeros(model.n_joints, 3)
    pose[Joint.NECK] = torch.tensor([0.1, 0.25, -0.08])
    pose[Joint.JAW, 0] = 0.15
    return HeadParameters(betas, torch.zeros(model.n_vertices, 3), expression, pose)


def landmarks_of(model: HeadModel, head: HeadParameters, *, depths: bool) -> np.ndarray:
    world = model.landmarks(pose_head(model, head).vertices)
    pixels, depth = camera().project(world)
    points = np.zeros((478, 3), np.float32)
    points[model.landmark_ids.numpy(), :2] = pixels.numpy()
    points[model.landmark_ids.numpy(), 2] = (depth * camera().intrinsics[0, 0] / depth.mean()).numpy()
    return points if depths else points[:, :2]


@pytest.fixture(scope="module")
def plain_fit(head_model: HeadModel):  # type: ignore[no-untyped-def]
    return fit_head(head_model, landmarks_of(head_model, known_head(head_model), depths=False), SIZE, SIZE)


def test_a_known_head_is_recovered(head_model: HeadModel, plain_fit) -> None:  # type: ignore[no-untyped-def]
    truth, found = known_head(head_model), plain_fit.head
    assert plain_fit.rms_before_offsets_px < 0.8 and plain_fit.rms_px < 0.3
    assert float((found.pose[Joint.NECK] - truth.pose[Joint.NECK]).abs()[1:].max()) < 0.05  # yaw and roll
    assert float(found.pose[Joint.GLOBAL].abs().max()) == 0
    assert 0.05 < float(found.pose[Joint.JAW, 0]) < 0.3
    smile = head_model.expression_names.index("mouthSmileLeft")
    assert float(found.expression[smile]) > 0.3
    assert float(found.expression.min()) >= -1e-6 and float(found.expression.max()) <= 1 + 1e-6
    # Distance along the view and size are one; across it the head must be where it was.
    centre, there = (
        pose_head(head_model, head).vertices.mean(0) + torch.tensor([1.0, -1.0, -1.0]) * cam.world_to_camera[:3, 3]
        for head, cam in ((found, plain_fit.camera), (truth, camera()))
    )
    assert float((centre - there)[:2].abs().max()) < 0.02


def test_depths_steady_the_nod(head_model: HeadModel) -> None:
    """With exact depths the nod comes out within the corrections meant for the network's own depths."""
    truth = known_head(head_model)
    found = fit_head(head_model, landmarks_of(head_model, truth, depths=True), SIZE, SIZE).head
    assert float((found.pose[Joint.NECK] - truth.pose[Joint.NECK]).abs().max()) < 0.12


def test_landmarks_reproject_through_the_public_model(head_model: HeadModel, plain_fit) -> None:  # type: ignore[no-untyped-def]
    target = landmarks_of(head_model, known_head(head_model), depths=False)[head_model.landmark_ids.numpy()]
    pixels, _ = plain_fit.camera.project(head_model.landmarks(pose_head(head_model, plain_fit.head).vertices))
    distance = np.linalg.norm(pixels.numpy() - target, axis=1)[:468]
    # The fit's own number is of its landmark model in float64, this one of the whole head in float32.
    assert np.sqrt((distance**2).mean()) == pytest.approx(plain_fit.rms_px, abs=0.02)


def test_camera_axes_are_the_pictures(plain_fit) -> None:  # type: ignore[no-untyped-def]
    rotation = plain_fit.camera.world_to_camera[:3, :3]
    torch.testing.assert_close(rotation, torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    assert 1.2 < float(plain_fit.camera.world_to_camera[2, 3]) < 1.9


def test_offsets_keep_eyes_and_teeth_rigid(head_model: HeadModel, plain_fit) -> None:  # type: ignore[no-untyped-def]
    offsets = plain_fit.head.vertex_offsets
    assert float(offsets.norm(dim=1).max()) < 0.01
    for region in (Region.LEFT_EYE, Region.UPPER_TEETH):
        own = offsets[head_model.regions == region]
        assert float((own - own.mean(0)).abs().max()) < 2e-4  # metres: a fifth of a millimetre is not seen


def test_fit_is_deterministic(head_model: HeadModel, plain_fit) -> None:  # type: ignore[no-untyped-def]
    again = fit_head(head_model, landmarks_of(head_model, known_head(head_model), depths=False), SIZE, SIZE)
    assert torch.equal(again.head.betas, plain_fit.head.betas)
    assert torch.equal(again.head.vertex_offsets, plain_fit.head.vertex_offsets)


def test_landmark_model_agrees_with_the_head_and_its_jacobian_with_differences(head_model: HeadModel) -> None:
    truth = known_head(head_model)
    focal = FitConfig().focal_per_width * SIZE
    reduced = LandmarkModel(head_model, focal, (SIZE / 2, SIZE / 2))
    vector = torch.zeros(reduced.layout.size, dtype=torch.float64)
    vector[reduced.layout.rotation] = truth.pose[Joint.NECK].double()
    vector[reduced.layout.translation] = camera().world_to_camera[:3, 3].double()
    vector[reduced.layout.jaw] = truth.pose[Joint.JAW, 0].double()
    vector[reduced.layout.betas], vector[reduced.layout.expression] = truth.betas.double(), truth.expression.double()
    expected = landmarks_of(head_model, truth, depths=False)[head_model.landmark_ids.numpy()]
    np.testing.assert_allclose(reduced.pixels(vector).numpy(), expected, atol=2 * PIXELS)  # float32 against float64
    free = torch.zeros(reduced.layout.size, dtype=torch.bool)
    free[[0, 1, 4, 5, 6, 8, 15, 120]] = True
    jacobian = reduced.jacobian(vector, free)
    for column, index in enumerate(torch.nonzero(free).flatten().tolist()):
        step = torch.zeros_like(vector)
        step[index] = 1e-6
        numeric = (reduced.pixels(vector + step) - reduced.pixels(vector - step)) / 2e-6
        # Central differences: 1e-12 px of rounding over a step of 1e-6; their slope is that of hundreds of pixels.
        torch.testing.assert_close(jacobian[..., column], numeric, rtol=1e-5, atol=1e-4)


def test_a_head_without_landmarks_is_refused(head_model: HeadModel) -> None:
    from dataclasses import replace

    empty = torch.zeros(0, dtype=torch.int64)
    blind = replace(head_model, landmark_ids=empty, landmark_faces=empty, landmark_weights=torch.zeros(0, 3))
    with pytest.raises(ValueError, match="landmark embedding"):
        fit_head(blind, np.zeros((478, 3), np.float32), SIZE, SIZE)
