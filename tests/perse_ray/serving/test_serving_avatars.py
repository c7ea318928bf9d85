"""A real avatar behind the render requests: what weights, expressions and cameras do to its picture."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from numpy.typing import NDArray

from perse.attributes import Category
from perse.avatar import save_avatar
from perse.data.images import decode_image
from perse.data.workspace import Workspace
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.training import Trainer
from perse_ray.build.stages.register import MODEL_CODE, REGISTERED_ALIAS
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.registry.model_files import NEEDED
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar
from perse_ray.serving.schema.errors import UnknownName
from perse_ray.serving.schema.requests import OrbitCamera, PinholeCamera, RenderRequest
from perse_ray.training.loops import TrainingLoop


@pytest.fixture(scope="module")
def folder(small_training: tuple[TrainingLoop, Trainer], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("avatar")
    save_avatar(small_training[1].avatar, folder)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedAvatar:
    return LoadedAvatar.load(folder)


def picture(loaded: LoadedAvatar, **fields: object) -> NDArray[np.int64]:
    return loaded.render(RenderRequest(width=48, height=48, **fields)).astype(int)  # type: ignore[arg-type]


def hats(loaded: LoadedAvatar) -> list[str]:
    return [s.key for s in loaded.avatar.subjects if s.category is Category.HAT]


def test_the_empty_request_is_the_reference_and_the_background_can_be_chosen(loaded: LoadedAvatar) -> None:
    plain = picture(loaded)
    assert plain.shape == (48, 48, 3) and plain.std() > 20
    assert (plain[0, 0] >= 250).all()
    assert np.abs(picture(loaded, background=(0, 80, 255))[0, 0] - [0, 80, 255]).max() < 10


def test_weights_go_from_the_reference_to_the_subject_and_between_subjects(loaded: LoadedAvatar) -> None:
    first, second = hats(loaded)
    plain = picture(loaded)
    worn = picture(loaded, attributes={Category.HAT: {first: 1.0}})
    other = picture(loaded, attributes={Category.HAT: {second: 1.0}})
    assert (picture(loaded, attributes={Category.HAT: {first: 0.0}}) == plain).all()
    assert np.abs(worn - plain).max() > 20 and np.abs(worn - other).max() > 10
    assert (picture(loaded, attributes={Category.HAT: {first: 1.0, second: 0.0}}) == worn).all()
    half = picture(loaded, attributes={Category.HAT: {first: 0.5, second: 0.5}})
    assert 0 < np.abs(half - worn).mean() < np.abs(other - worn).mean()


def test_a_subjects_whole_weight_is_its_own_code(loaded: LoadedAvatar) -> None:
    first = hats(loaded)[0]
    own = loaded.avatar.subject_codes()[loaded.avatar.row(first)]
    assert torch.allclose(
        # Float32 rounding of latents about one.
        loaded.resolve(RenderRequest(attributes={Category.HAT: {first: 1.0}})).look.code,
        own,
        atol=1e-6,
    )


def test_expressions_and_joints_move_the_face(loaded: LoadedAvatar) -> None:
    plain = picture(loaded)
    joint = loaded.info("x").joints[1]
    assert np.abs(picture(loaded, pose={joint: (0.0, 0.5, 0.0)}) - plain).mean() > 1
    smile = next(name for name in loaded.info("x").expressions if "mile" in name)
    assert np.abs(picture(loaded, expression={smile: 1.0}) - plain).max() > 5


def test_a_camera_of_ones_own_equals_the_portraits_where_it_is_the_portraits(loaded: LoadedAvatar) -> None:
    home = loaded.avatar.card.camera.resized(48, 48)
    own = PinholeCamera(world_to_camera=home.world_to_camera.tolist(), intrinsics=home.intrinsics.tolist())
    assert np.abs(picture(loaded, camera=own) - picture(loaded)).max() <= 1
    assert np.abs(picture(loaded, camera=OrbitCamera(yaw_deg=40)) - picture(loaded)).mean() > 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"attributes": {Category.HAT: {"nobody": 1.0}}}, "no hat .nobody.; choose among: "),
        ({"attributes": {Category.NOSE: {"nobody": 1.0}}}, "learned no nose at all"),
        ({"expression": {"sneeze": 1.0}}, "unknown expression sneeze"),
        ({"pose": {"elbow": (0.0, 0.0, 0.0)}}, "unknown joint elbow"),
    ],
)
def test_unknown_names_are_listed(loaded: LoadedAvatar, fields: dict[str, object], says: str) -> None:
    with pytest.raises(UnknownName, match=says):
        picture(loaded, **fields)


@pytest.fixture
def registered(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a registered model."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    build = BuildLog.open(Workspace.open(tmp_path / "w"), "x")
    build.register(folder, "perse-small", REGISTERED_ALIAS, MODEL_CODE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", build.parent.store.uri)
    return next(tmp_path.rglob("MLmodel")).parent


def test_the_registered_model_renders(registered: Path, loaded: LoadedAvatar) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model("models:/perse-small@champion")
    small, text = {"width": 48, "height": 48}, '{"width": 48, "height": 48}'
    for asked in (
        pandas.DataFrame({"request": [small]}),
        {"request": [small]},
        {"request": text},
        [{"request": small}],
    ):
        (answer,) = model.predict(asked)
        assert (decode_image(base64.b64decode(answer)) == picture(loaded)).all()
    assert model.metadata.signature is not None and len(model.predict(model.input_example)) == 1
    assert len(model.predict({"request": [text, text]})) == 2
    required = (registered / "requirements.txt").read_text()
    assert all(f"{name}==" in required for name in NEEDED)
    assert (registered / "code" / "perse" / "__init__.py").exists() and not list(registered.rglob("__pycache__"))


ALONE = """
import base64, json, sys
sys.meta_path[:] = [one for one in sys.meta_path if "editable" not in str(one)]
sys.path[:] = [place for place in sys.path if "site-packages" in place or "python3" in place]
import importlib.util
assert importlib.util.find_spec("perse") is None, "the project is not installed here"
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict({"request": ['{"width": 48, "height": 48}']})
import importlib.metadata, perse
owners = importlib.metadata.packages_distributions()
used = sorted({owner for name in set(sys.modules) for owner in owners.get(name.partition(".")[0], [])})
print(json.dumps([answer, perse.__file__, used]))
"""


@pytest.mark.heavy  # kernels are compiled anew where the code lies
def test_a_registered_model_stands_alone(registered: Path, loaded: LoadedAvatar, tmp_path: Path) -> None:
    """Moved elsewhere, where the project is not installed, it draws the same; and what it imports is required."""
    moved = registered.rename(tmp_path / "moved")
    hidden = ("PYTHONPATH", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-c", ALONE, str(moved)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (answer,), place, used = json.loads(done.stdout.splitlines()[-1])
    assert (decode_image(base64.b64decode(answer)) == picture(loaded)).all()
    assert place.startswith(str(moved)) and set(NEEDED) <= set(used)


def test_pictures_that_wait_together_are_drawn_together(loaded: LoadedAvatar, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call for a size and background, whatever the codes, poses and cameras; the same pixels as one by one."""
    first, second = hats(loaded)
    joint = loaded.info("x").joints[1]
    small: dict[str, Any] = {"width": 48, "height": 32}
    asked = [
        RenderRequest(**small),
        RenderRequest(attributes={Category.HAT: {first: 1.0}}, **small),
        RenderRequest(pose={joint: (0.0, 0.4, 0.0)}, **small),
        RenderRequest(width=32, height=48),
        RenderRequest(attributes={Category.HAT: {second: 0.5}}, camera=OrbitCamera(yaw_deg=30), **small),
        RenderRequest(attributes={Category.HAT: {first: 1.0}}, pose={joint: (0.0, 0.4, 0.0)}, **small),
        RenderRequest(background=None, **small),
    ]
    alone = [loaded.render(request) for request in asked]
    calls: list[int] = []
    draw = type(loaded.renderer.rasterizer).draw

    def counted(self: Any, gaussians: Gaussians, cameras: Camera, background: Any) -> Any:
        calls.append(len(gaussians.means))
        return draw(self, gaussians, cameras, background)

    monkeypatch.setattr(type(loaded.renderer.rasterizer), "draw", counted)
    together = loaded.draw([loaded.resolve(request) for request in asked])
    assert sorted(calls) == [1, 1, 5]
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 1
