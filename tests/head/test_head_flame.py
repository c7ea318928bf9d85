"""FLAME's own files: read without chumpy, and without running what a stranger put into them."""

from __future__ import annotations

import pickle
import sys
import tracemalloc
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from tolerances import SINGLE

from perse.errors import HeadModelError
from perse.head import HeadParameters, Region, pose_head
from perse.head.flame import load_flame
from perse.head.flame_pickle import convert_flame
from perse.head.sources import FlameHead

V, T = 12, 20


def flame_arrays() -> dict[str, object]:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1, (V, 5))
    weights[10] = [0, 0, 0, 1, 0]
    weights[11] = [0, 0, 0, 0, 1]
    return {
        "v_template": rng.normal(size=(V, 3)),
        "f": rng.integers(0, V, (T, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(V, 3, 400)),
        "posedirs": rng.normal(size=(V, 3, 36)),
        "J_regressor": scipy.sparse.csc_matrix(rng.dirichlet(np.ones(V), 5)),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
    }


@pytest.fixture
def chumpy_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Protocol 2, as Python 2 wrote it, with arrays inside objects of a module that does not exist here."""
    chumpy, ch = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")

    class Ch:
        pass

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    ch.Ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chumpy", chumpy)
    monkeypatch.setitem(sys.modules, "chumpy.ch", ch)
    arrays = flame_arrays()
    for name in ("v_template", "shapedirs", "weights"):
        shell = Ch()
        shell.x, shell._dirty_vars, shell._itr = arrays[name], set(), None  # type: ignore[attr-defined]
        arrays[name] = shell
    arrays["bs_style"], arrays["vert_sym_idxs"] = "lbs", [np.float64(1), {"a": ()}]
    path = tmp_path / "generic_model.pkl"
    # The official files name scipy's and numpy's old private modules.
    data = pickle.dumps(arrays, protocol=2)
    data = data.replace(b"cscipy.sparse._csc\n", b"cscipy.sparse.csc\n").replace(
        b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    )
    path.write_bytes(data)
    monkeypatch.delitem(sys.modules, "chumpy")
    monkeypatch.delitem(sys.modules, "chumpy.ch")
    return path


@pytest.fixture
def flame_file(chumpy_pickle: Path) -> Path:
    """What the converter makes of FLAME's own file."""
    return convert_flame(chumpy_pickle)


def test_converted_pickle_and_npz_give_the_same_model(flame_file: Path, tmp_path: Path) -> None:
    arrays = flame_arrays()
    arrays["J_regressor"] = arrays["J_regressor"].toarray()  # type: ignore[attr-defined]
    npz = tmp_path / "flame.npz"
    np.savez(npz, **arrays)  # type: ignore[arg-type]
    one, other = load_flame(flame_file), FlameHead(path=npz).load()
    assert one.n_shape == 100 and one.n_expression == 50 and one.parents.tolist() == [-1, 0, 1, 1, 1]
    for name in ("template", "faces", "shape_basis", "expression_basis", "pose_basis", "joint_regressor"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(one.template.numpy(), arrays["v_template"], atol=SINGLE)
    np.testing.assert_allclose(one.expression_basis.numpy(), np.asarray(arrays["shapedirs"])[..., 300:350], atol=SINGLE)
    assert "chumpy" not in sys.modules


def test_loaded_flame_poses_like_any_head(flame_file: Path) -> None:
    model = load_flame(flame_file)
    zero = HeadParameters(torch.zeros(100), torch.zeros(V, 3), torch.zeros(50), torch.zeros(5, 3))
    torch.testing.assert_close(pose_head(model, zero).vertices, model.template, atol=SINGLE, rtol=0)
    assert model.regions[10] == Region.LEFT_EYE and model.regions[11] == Region.RIGHT_EYE
    assert len(model.landmark_ids) == 0


def test_landmark_embedding_is_optional_and_checked(flame_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "mediapipe_landmark_embedding.npz"
    np.savez(file, lmk_face_idx=[1, 2], lmk_b_coords=[[1, 0, 0], [0.2, 0.3, 0.5]], landmark_indices=[33, 263])
    model = load_flame(flame_file, landmark_embedding=file)
    assert model.landmark_ids.tolist() == [33, 263]
    expected = model.template[model.faces[1, 0]]
    torch.testing.assert_close(model.landmarks(model.template)[0], expected)
    np.savez(file, lmk_face_idx=[T], lmk_b_coords=[[1, 0, 0]], landmark_indices=[33])
    with pytest.raises(HeadModelError, match="does not belong"):
        load_flame(flame_file, landmark_embedding=file)


def test_a_pickle_is_not_opened_at_run_time(chumpy_pickle: Path) -> None:
    with pytest.raises(HeadModelError, match=r"perse models convert") as caught:
        load_flame(chumpy_pickle)
    assert "\n" not in str(caught.value)


def test_object_arrays_in_npz_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, v_template=np.array([{"a": 1}], dtype=object))
    with pytest.raises(HeadModelError, match="plain"):
        load_flame(path)


@pytest.mark.parametrize("name", ["model.npz", "model.safetensors", "model.pkl"])
@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 broken", b"\x80\x02}q\x00"])
def test_damaged_files_end_in_a_message(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HeadModelError):
        load_flame(path)


def test_missing_arrays_and_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, v_template=np.zeros((V, 3)))
    with pytest.raises(HeadModelError, match="shapedirs"):
        load_flame(path)
    with pytest.raises(HeadModelError, match="cannot be read"):
        load_flame(tmp_path / "nothing.pkl")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("f", np.full((T, 3), V, np.uint32)),
        ("f", np.zeros((T, 3))),
        ("weights", np.zeros((V, 5))),
        ("weights", np.full((V, 5), np.nan)),
        ("v_template", np.full((V, 3), 1e300)),
        ("posedirs", np.zeros((V, 3, 35))),
        ("J_regressor", np.zeros((5, V + 1))),
        ("kintree_table", np.array([[2**32 - 1, 0, 1, 9, 1], [0, 1, 2, 3, 4]], np.uint32)),
        ("kintree_table", np.zeros((2, 4), np.uint32)),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path: Path, name: str, value: np.ndarray) -> None:
    arrays = flame_arrays() | {name: value}
    if name != "J_regressor":
        arrays["J_regressor"] = arrays["J_regressor"].toarray()  # type: ignore[attr-defined]
    np.savez(tmp_path / "flame.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(HeadModelError, match=r"flame\.npz"):
        load_flame(tmp_path / "flame.npz")


def test_an_npz_is_not_inflated_beyond_what_a_head_needs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("v_template.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(HeadModelError, match="unpacks to too much"):
        load_flame(path)
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20  # the file has 300 kB
    tracemalloc.stop()
