"""The images, as far as their files tell: no Docker is needed, and none was there when they were written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
IMAGES = [CLUSTER / "Dockerfile", CLUSTER / "Dockerfile.cuda"]
LOCK = dict(
    line.rstrip(" \\").split("==")
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if re.match(r"[\w-]+==", line)
)


def test_the_cuda_image_has_the_toolkit_that_the_locked_torch_was_built_with() -> None:
    """gsplat's kernels are compiled against torch's headers; another CUDA would be refused there."""
    (image,) = re.findall(r"^FROM nvidia/cuda:([\d.]+)-devel", IMAGES[1].read_text(), re.M)
    assert image.split(".")[:2] == LOCK["nvidia-cuda-runtime"].split(".")[:2]
    assert "gsplat" in LOCK and "torch" in LOCK


def test_both_images_have_one_python_and_one_user() -> None:
    """Ray refuses a pod whose Python is another than the head's, and what one pod writes another one removes."""
    texts = [image.read_text() for image in IMAGES]
    systems = [re.findall(r"^FROM \S*?(ubuntu:?[\d.]+)", text, re.M)[0].replace(":", "") for text in texts]
    pythons = [re.findall(r"install .*\b(python3\.\d+)\b ", text)[0] for text in texts]
    assert len(set(systems)) == len(set(pythons)) == 1
    users = {number for text in texts for number in re.findall(r"^USER (\d+)$", text, re.M)}
    pods = (CLUSTER / "kuberay").rglob("*.yaml")
    users |= {number for pod in pods for number in re.findall(r"runAsUser: (\d+)", pod.read_text())}
    assert users == {"1000"}


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_an_image_is_installed_from_the_lock_and_from_files_that_exist(image: Path) -> None:
    text = image.read_text()
    assert "pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock" in text
    for line in re.findall(r"^COPY (.+) \S+$", text, re.M):
        assert all((ROOT / name).exists() for name in line.split()), line
    tag = re.findall(r"-t perse:(\S+) \.", text)[0].removesuffix("-cuda")
    assert tag == LOCK["ray"], "the tag says which Ray is in it"


def test_every_pod_has_an_image_of_the_locked_ray() -> None:
    pods = "".join(file.read_text() for file in (CLUSTER / "kuberay").rglob("*.yaml"))
    assert set(re.findall(r"image: perse:(\S+)", pods)) == {LOCK["ray"], f"{LOCK['ray']}-cuda"}
