"""The body in SMPL-X's arrays: the embedded head is a part of it, bones carry what is theirs, strangers' files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from body_people import standing

from perse.body.model import JOINT_NAMES, PARENTS, BodyJoint, BodyRegion, SmplxBody, body_regions, pose_body
from perse.body.model.anny_body import head_vertices
from perse.body.model.skin_diffusion import diffused_weights, weights_of_layer
from perse.body.model.stance import Stance, stance_pose
from perse.body.model.upsampling import EdgeLengths, refined, unit_normals
from perse.errors import HeadModelError
from perse.head import HeadModel


def test_the_joint_tree_is_smplxs() -> None:
    assert len(PARENTS) == len(JOINT_NAMES) == 55
    assert all(parent < joint for joint, parent in enumerate(PARENTS))
    assert PARENTS[JOINT_NAMES.index("left_index1")] == BodyJoint.LEFT_WRIST
    assert PARENTS[JOINT_NAMES.index("right_thumb3")] == JOINT_NAMES.index("right_thumb2")


def test_its_head_is_the_embedded_head(body_model: HeadModel, head_model: HeadModel) -> None:
    pairs = torch.from_numpy(head_vertices())
    assert len(pairs) > 4000
    # Metres: float32 rounding of 1.7 m.
    torch.testing.assert_close(body_model.template[pairs[:, 1]], head_model.template[pairs[:, 0]], rtol=0, atol=1e-6)
    assert len(body_model.landmark_ids) > 400


def test_at_rest_it_is_its_template_and_weights_are_shares(body_model: HeadModel) -> None:
    still = replace(standing(body_model), pose=torch.zeros(55, 3))
    # Metres: float32 through a chain of joints.
    torch.testing.assert_close(pose_body(body_model, still).vertices, body_model.template, rtol=0, atol=1e-5)
    torch.testing.assert_close(body_model.skinning_weights.sum(1), torch.ones(body_model.n_vertices))


def test_an_elbow_moves_its_own_arm_only(body_model: HeadModel) -> None:
    pose = torch.zeros(55, 3)
    pose[BodyJoint.LEFT_ELBOW, 0] = -1.0
    moved = pose_body(body_model, replace(standing(body_model), pose=pose)).vertices - body_model.template
    far = moved.norm(dim=-1)
    left = body_model.template[:, 0] > 0
    hand = body_regions(body_model) == BodyRegion.HAND
    assert far[hand & left].min() > 0.05
    assert far[~left].max() < 1e-5  # metres: float32 through a chain of joints


def test_arms_hang_and_turns_turn(body_model: HeadModel) -> None:
    person = replace(standing(body_model), pose=stance_pose(body_model, Stance(arm=(0.0, 0.0), elbow=(0.0, 0.0))))
    posed = pose_body(body_model, person)
    ends = torch.cat([posed.joints, torch.ones(55, 1)], 1)
    joints = (posed.transforms @ ends[..., None])[:, :3, 0]
    upper = joints[BodyJoint.LEFT_ELBOW] - joints[BodyJoint.LEFT_SHOULDER]
    assert upper[1] < -0.95 * upper.norm()
    away = replace(person, pose=stance_pose(body_model, Stance(yaw=np.pi)))
    assert pose_body(body_model, away).vertices[body_regions(body_model) == BodyRegion.FACE, 2].max() < 0


def test_a_finer_mesh_is_the_same_surface() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    fine = refined(corners, faces, EdgeLengths.everywhere(len(corners), 0.3))
    points = fine.mixture @ corners
    edges = np.sort(np.concatenate([fine.faces[:, [0, 1]], fine.faces[:, [1, 2]], fine.faces[:, [2, 0]]]), 1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()  # closed: no crack between neighbours
    assert np.linalg.norm(points[unique[:, 0]] - points[unique[:, 1]], axis=1).max() <= 0.3
    np.testing.assert_allclose(np.asarray(fine.mixture.sum(1)).ravel(), 1)

    def area(places: np.ndarray, triangles: np.ndarray) -> float:  # type: ignore[type-arg]
        a, b, c = (places[triangles[:, k]] for k in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    assert area(points, fine.faces) == pytest.approx(area(corners, faces))
    outwards = unit_normals(torch.from_numpy(points), torch.from_numpy(fine.faces))
    assert ((outwards * (torch.from_numpy(points) - 0.2)).sum(-1) > 0).all()  # winding is kept


def test_a_border_between_two_kinds_has_fine_edges_and_follows_its_line() -> None:
    """Kinds that change along a slanted line, on large triangles."""
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0), [0.0], indexing="ij"), -1).reshape(-1, 3)
    corner = np.arange(25).reshape(5, 5)
    a, b, c, d = corner[:-1, :-1].ravel(), corner[1:, :-1].ravel(), corner[1:, 1:].ravel(), corner[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    side = grid[:, 0] - 0.6 * grid[:, 1] - 0.9
    shares = np.stack([0.5 + 0.1 * side, 0.5 - 0.1 * side], 1)
    fine = refined(grid, faces, EdgeLengths(np.full(25, 2.0), shares, 0.1))
    points, kinds = fine.mixture @ grid, np.asarray(fine.mixture @ shares).argmax(1)
    edges = np.concatenate([fine.faces[:, [0, 1]], fine.faces[:, [1, 2]], fine.faces[:, [2, 0]]])
    crossing = edges[kinds[edges[:, 0]] != kinds[edges[:, 1]]]
    assert len(crossing) > 40
    # Some are left over after the last round of halving, at slanted triangles.
    assert np.quantile(np.linalg.norm(points[crossing[:, 0]] - points[crossing[:, 1]], axis=1), 0.8) <= 0.1
    off = np.abs(points[crossing, 0] - 0.6 * points[crossing, 1] - 0.9)
    assert np.quantile(off, 0.9) < 0.1  # a coarse edge is ten times as long
    assert (np.abs(points[:, 0] - 0.6 * points[:, 1] - 0.9) > 1.2).mean() < 0.1  # nothing is added elsewhere


def test_weights_spread_away_from_the_skin_only() -> None:
    surface = np.stack([np.linspace(0, 1, 101), np.zeros(101), np.zeros(101)], 1)
    weights = np.stack([(surface[:, 0] < 0.5), (surface[:, 0] >= 0.5)], 1).astype(float)
    points = np.array([[0.48, 0.0, 0.0], [0.48, 0.05, 0.0]])
    below = weights[[48, 48]]
    layer = weights_of_layer(points, np.array([0.0, 0.05]), below, surface, weights)
    np.testing.assert_allclose(layer[0], [1, 0])
    assert 0.05 < layer[1, 1] < 0.5
    np.testing.assert_allclose(diffused_weights(points, surface, weights).sum(1), 1)


def smplx_arrays(v: int = 60) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    tree = np.array([[2**32 - 1, *PARENTS[1:]], range(55)], np.uint32)
    return {
        "v_template": rng.normal(size=(v, 3)), "f": rng.integers(0, v, (80, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(v, 3, 20)), "posedirs": rng.normal(size=(v, 3, 486)),
        "J_regressor": rng.dirichlet(np.ones(v), 55), "kintree_table": tree,
        "weights": rng.dirichlet(np.ones(55), v),
    }  # fmt: skip


def test_smplx_files_are_read_by_flames_reader(tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPLX.npz", **smplx_arrays())
    model = SmplxBody(path=tmp_path / "SMPLX.npz").load()
    assert (model.n_joints, model.n_shape, model.n_expression, model.n_vertices) == (55, 10, 10, 60)
    assert pose_body(model, standing(model)).vertices.isfinite().all()


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    arrays = smplx_arrays()
    other = arrays["kintree_table"].copy()
    other[0, 16] = 9
    np.savez(tmp_path / "other.npz", **(arrays | {"kintree_table": other}))
    np.savez(tmp_path / "short.npz", **(arrays | {"kintree_table": arrays["kintree_table"][:, :24]}))
    (tmp_path / "pickle.pkl").write_bytes(b"\x80\x02}q\x00.")
    for name, said in (
        ("other.npz", "another joint tree"),
        ("short.npz", "24 joints, SMPL-X has 55"),
        ("pickle.pkl", "pickle"),
    ):
        with pytest.raises(HeadModelError, match=said) as raised:
            SmplxBody(path=tmp_path / name).load()
        assert "\n" not in str(raised.value)
