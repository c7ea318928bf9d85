"""The paper's recipe in small, as a job on a cluster of two nodes that share the workspace and nothing else."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from two_nodes import TwoNodes, two_nodes

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

BUILD = (sys.executable, "jobs/build_avatar.py")
BUILD_LIMIT_S = 1500.0
pytestmark = [pytest.mark.timeout(2 * BUILD_LIMIT_S), pytest.mark.heavy]


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """A folder that both nodes see: not below /tmp, which each has for itself."""
    folder = Path(tempfile.mkdtemp(prefix="perse-two-nodes-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    from paper_tiny_weights import save_paper_tiny

    return save_paper_tiny(shared)


@pytest.fixture(scope="module")
def cluster(shared: Path, weights: Path) -> Iterator[TwoNodes]:
    variables = {"PERSE_WEIGHTS": str(weights), "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(shared / "mpl")}
    with two_nodes(variables, cpus=2, gpus=1) as running:
        yield running


@pytest.fixture(scope="module")
def working_dir(shared: Path) -> Path:
    """What is submitted: the commands. The packages are installed on the nodes, as in an image."""
    folder = shared / "work"
    shutil.copytree(ROOT / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_a_relative_workspace_is_refused_before_anything_is_made(cluster: TwoNodes, working_dir: Path) -> None:
    done = cluster.submit(*BUILD, "--recipe", "paper-tiny", working_dir=working_dir, limit_s=600)
    assert done.returncode != 0
    assert "--workspace runs/demo would lie in a folder that is deleted with the job" in done.stdout + done.stderr


def test_from_portrait_to_served_avatar(cluster: TwoNodes, working_dir: Path, shared: Path) -> None:
    """Diffusion edits, CLIP, two DDP workers with the paper's networks, two morph actors, both evaluations."""
    command = [*BUILD, "--recipe", "paper-tiny", "--workspace", str(shared / "me")]
    done = cluster.submit(*command, working_dir=working_dir, limit_s=BUILD_LIMIT_S)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    print(done.stdout)

    workspace = shared / "me"
    metrics = json.loads((workspace / "report" / "metrics.json").read_text())
    assert metrics["recipe"] == "paper-tiny" and metrics["n_subjects"] == 5
    assert metrics["n_gaussians"] == 900, "densification went to its target"
    assert metrics["before_finetune"]["psnr"] != metrics["psnr"]
    assert metrics["by_category"].keys() == {"earrings", "headphones"}
    morphs = list((workspace / "morphs").glob("*.npz"))
    assert 2 <= len(morphs) <= 2 * 6, "two workers, a pair each, in each of six steps"
    assert (shared / "mlflow.db").is_file(), "curves went through the driver, whose path all nodes share"
    _serve_one_frame(workspace)
    again = cluster.submit(*command, working_dir=working_dir, limit_s=600)
    assert again.returncode == 0 and "stages were finished before" in again.stdout


def _serve_one_frame(workspace: Path) -> None:
    from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar
    from perse_ray.serving.drawing.tasks import EncodedPictures
    from perse_ray.serving.schema.requests import RenderRequest

    avatar = LoadedAvatar.load(workspace / "avatar")
    (picture,) = EncodedPictures((RenderRequest(width=64, height=64),))(avatar)
    assert picture[:4] == b"\x89PNG"


def test_a_workspace_that_one_node_does_not_see_is_refused(cluster: TwoNodes, working_dir: Path) -> None:
    if not cluster.apart:
        pytest.skip("this machine allows no mount namespaces: the nodes share /tmp")
    command = [*BUILD, "--recipe", "paper-tiny", "--workspace", "/tmp/only-here"]
    done = cluster.submit(*command, working_dir=working_dir, limit_s=600)
    assert done.returncode != 0
    assert "does not see /tmp/only-here" in done.stdout + done.stderr
