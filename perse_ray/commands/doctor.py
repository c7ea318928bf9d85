"""Checks of this machine: each says what it found and, where something is wrong, what to do about it.

Nothing is installed, downloaded or changed, but for a kernel that is compiled into its cache.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from perse.errors import PerseError

if TYPE_CHECKING:
    from perse.gaussians import Gaussians


class Health(StrEnum):
    """Outcome of a check."""

    OK = "ok"
    NOTE = "note"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Finding:
    """Finding of one check.

    Attributes:
        name: of the check.
        health: a NOTE is fine for some recipes, a FAILED one for none.
        found: what is there.
        remedy: what to do; empty when ok.
    """

    name: str
    health: Health
    found: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Arguments of the checks: recipe, workspace and what else they look at."""

    recipe: str = "laptop"
    """The recipe that is to run: a GPU or weights that it needs are failures, others notes."""
    workspace: Path = field(default_factory=lambda: Path("runs"))
    """Where its results are to go."""
    ports: tuple[int, ...] = (8000, 8265)
    """Ports of the render service and of Ray's dashboard."""
    start_ray: bool = True
    """Whether to start a local Ray (ten seconds)."""


def examine(examination: Examination) -> Iterator[Finding]:
    """All checks, as they finish. A check that fails unexpectedly is a finding too."""
    checks: tuple[Callable[[Examination], Finding], ...] = (
        check_python,
        check_packages,
        check_torch,
        check_kernels,
        check_head,
        check_faces,
        check_weights,
        check_disk,
        check_memory,
        check_ports,
        check_ray,
    )
    for check in checks:
        name = check.__name__.removeprefix("check_")
        try:
            yield check(examination)
        except PerseError as error:
            yield Finding(name, Health.FAILED, " ".join(str(error).split()), "see the message")
        except Exception as error:  # a broken installation breaks in any way it likes
            yield Finding(
                name, Health.FAILED, f"{type(error).__name__}: {error}", "install anew: make clean environment"
            )


def check_python(_: Examination) -> Finding:
    """3.11 or 3.12: mediapipe 0.10.14 has no wheel for newer ones."""
    found = sys.version.split()[0]
    fits = (3, 11) <= sys.version_info[:2] <= (3, 12)
    remedy = "" if fits else "use Python 3.11 or 3.12 (mediapipe 0.10.14 has no other wheels)"
    return Finding("python", Health.OK if fits else Health.FAILED, found, remedy)


PROGRAMS_GIB = 4.0
"""Of the driver, Ray and a few workers, without pictures."""

REQUIRED = ("torch", "ray", "numba", "mediapipe", "anny", "pyarrow", "mlflow", "tyro", "scipy", "dlib-bin")
PRODUCTION = ("diffusers", "transformers", "controlnet-aux", "peft", "open-clip-torch", "accelerate")


def check_packages(examination: Examination) -> Finding:
    """Required packages, and those of production editing where the recipe needs weights."""
    production = bool(_wanted(examination))
    missing = [name for name in REQUIRED if not _installed(name)]
    extra = [name for name in PRODUCTION if not _installed(name)]
    if missing:
        return Finding("packages", Health.FAILED, f"missing: {', '.join(missing)}", "make environment")
    if extra:
        health = Health.FAILED if production else Health.NOTE
        remedy = "for diffusion editing: pip install 'perse[production]'"
        return Finding("packages", health, f"missing: {', '.join(extra)}", remedy)
    return Finding("packages", Health.OK, ", ".join(f"{name} {version(name)}" for name in ("torch", "ray", "numba")))


def check_torch(examination: Examination) -> Finding:
    """torch imports, and sees a GPU where the recipe asks for one."""
    import torch

    from perse.render import GsplatRasterizer
    from perse_ray.commands.command_line import recipe_of

    recipe = recipe_of(examination.recipe, None)
    pools = (recipe.cluster.edit, recipe.cluster.animate, recipe.cluster.train)
    needed = isinstance(recipe.rasterizer, GsplatRasterizer) or any(pool.gpus > 0 for pool in pools)
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("torch", Health.OK, f"torch {torch.__version__}, CUDA {torch.version.cuda}: {names}")
    found = f"torch {torch.__version__}, no CUDA device"
    if needed:
        remedy = "run it on a cluster with GPUs (cluster/README.md), or check nvidia-smi and the driver's CUDA version"
        return Finding("torch", Health.FAILED, f"{found}; recipe {recipe.name} needs GPUs", remedy)
    return Finding("torch", Health.OK, f"{found}, which recipe {recipe.name} does not need")


def check_kernels(examination: Examination) -> Finding:
    """The rasterizer's kernels compile, draw, and have a place to be kept."""
    import torch

    from perse.geometry import Camera
    from perse.render import GsplatRasterizer, rasterize
    from perse_ray.commands.command_line import recipe_of

    rasterizer = recipe_of(examination.recipe, None).rasterizer
    name = type(rasterizer).__name__
    if isinstance(rasterizer, GsplatRasterizer):
        if importlib.util.find_spec("gsplat") is None:
            return Finding("kernels", Health.FAILED, "gsplat is not installed", "pip install 'perse[gpu]'")
        if not torch.cuda.is_available():
            return Finding("kernels", Health.FAILED, "gsplat draws on CUDA only", "run it where a GPU is")
    device = "cuda" if isinstance(rasterizer, GsplatRasterizer) else "cpu"
    camera = Camera(torch.eye(4), torch.tensor([[32.0, 0, 16], [0, 32, 16], [0, 0, 1]]), 32, 32).to(device)
    drawn = rasterize(_one_gaussian(device), camera, rasterizer=rasterizer)
    if not float(drawn.alphas.max()) > 0.5:
        return Finding("kernels", Health.FAILED, f"{name} draws nothing", "report this; try rm -rf ~/.cache/perse")
    return Finding("kernels", Health.OK, f"{name} draws")


def check_head(examination: Examination) -> Finding:
    """The recipe's head model can be built or read."""
    from perse_ray.commands.command_line import recipe_of

    source = recipe_of(examination.recipe, None).head
    model = source.load()
    return Finding("head", Health.OK, f"{type(source).__name__}: {model.n_vertices} vertices")


def check_faces(_: Examination) -> Finding:
    """mediapipe finds the face of the sample portrait."""
    import skimage.data

    from perse.tracking import detect_landmarks

    if detect_landmarks(skimage.data.astronaut()) is None:
        remedy = "pip install --force-reinstall mediapipe==0.10.14 (the last that bundles its models)"
        return Finding("faces", Health.FAILED, "no face in the sample portrait", remedy)
    return Finding("faces", Health.OK, "the sample portrait's face is found")


def check_weights(examination: Examination) -> Finding:
    """The recipe's weights are complete, and no pickle lies among them."""
    from perse.synthesis.production.model_store import require, store_root
    from perse_ray.commands.command_line import recipe_of

    wanted = _wanted(examination)
    if not wanted:
        return Finding("weights", Health.OK, f"recipe {examination.recipe} needs none")
    try:
        require(recipe_of(examination.recipe, None))
    except PerseError as error:
        message, _, command = " ".join(str(error).split()).rpartition("perse models ")
        return Finding("weights", Health.FAILED, message.rstrip("; ") or str(error), f"perse models {command}")
    return Finding("weights", Health.OK, f"all {len(wanted)} in {store_root()}")


def check_disk(examination: Examination) -> Finding:
    """The workspace's folder can be written, and the plan's clips fit."""
    from perse_ray.build.plan import disk_gib
    from perse_ray.commands.command_line import recipe_of

    folder = examination.workspace.absolute()
    while not folder.exists():
        folder = folder.parent
    free, needed = shutil.disk_usage(folder).free / 2**30, disk_gib(recipe_of(examination.recipe, None))
    found = f"{free:.0f} GiB free at {folder}, recipe {examination.recipe} needs about {needed:.1f}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", Health.FAILED, f"{folder} cannot be written", "choose another --workspace")
    if free < 1.2 * needed + 1:
        return Finding("disk", Health.FAILED, found, "free some space, or choose another --workspace (s3://… works)")
    return Finding("disk", Health.OK, found)


def check_memory(examination: Examination) -> Finding:
    """Enough memory for Ray, a few workers and the recipe's frames; shared memory for Ray's object store."""
    from perse_ray.build.plan import kept_gib, watched_gib
    from perse_ray.commands.command_line import recipe_of

    recipe = recipe_of(examination.recipe, None)
    needed = PROGRAMS_GIB + kept_gib(recipe) + watched_gib(recipe)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    shared = shutil.disk_usage("/dev/shm").free / 2**30 if Path("/dev/shm").is_dir() else 0.0
    found = f"{pages:.0f} GiB, {shared:.1f} GiB shared memory; recipe {recipe.name} needs about {needed:.0f}"
    if pages < needed:
        remedy = "start the build on a larger node; smaller: ClusterUse(clips_mib=…), StartConfig(watched_subjects=…)"
        return Finding("memory", Health.FAILED, found, remedy)
    if shared < 0.4:
        return Finding("memory", Health.NOTE, found, "give the container more shared memory: docker run --shm-size=1g")
    return Finding("memory", Health.OK, found)


def check_ports(examination: Examination) -> Finding:
    """The service's ports are free on the loopback interface."""
    taken = [port for port in examination.ports if not _free(port)]
    if taken:
        remedy = "stop what listens there, or serve elsewhere: perse serve --port N"
        return Finding("ports", Health.NOTE, f"in use: {', '.join(map(str, taken))}", remedy)
    return Finding("ports", Health.OK, f"{', '.join(map(str, examination.ports))} are free")


def check_ray(examination: Examination) -> Finding:
    """A cluster answers, or a local Ray starts and runs a task."""
    address = os.environ.get("RAY_ADDRESS", "")
    if not examination.start_ray:
        return Finding("ray", Health.OK, f"not started; RAY_ADDRESS is {address or 'not set: a local one will be'}")
    import ray

    from perse_ray.runtime.session import LocalRay, ray_session

    try:
        with ray_session(LocalRay(num_cpus=4, object_store_mib=100)):
            answer = ray.get(ray.remote(num_cpus=0.1)(_forty_two).remote(), timeout=90)
            claims = ray.cluster_resources()
    except (ray.exceptions.RayError, ConnectionError, TimeoutError, RuntimeError) as error:
        remedy = (
            f"does a cluster run at RAY_ADDRESS={address}, and is RAY_AUTH_TOKEN its token?"
            if address
            else f"is {tempfile.gettempdir()} writable and short? try RAY_TMPDIR=/tmp"
        )
        return Finding("ray", Health.FAILED, " ".join(str(error).split())[:300], remedy)
    if answer != 42:
        return Finding("ray", Health.FAILED, f"a task answered {answer}", "reinstall ray==2.60.0")
    where = f"the cluster at {address}" if address else "a local Ray"
    return Finding("ray", Health.OK, f"{where}: {claims.get('CPU', 0):g} CPU, {claims.get('GPU', 0):g} GPU")


def _one_gaussian(device: str) -> Gaussians:
    """An opaque ball a metre in front of the camera."""
    import torch

    from perse.gaussians import Gaussians

    return Gaussians(
        means=torch.tensor([[0.0, 0.0, 1.0]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        scales=torch.full((1, 3), 0.05),
        opacities=torch.ones(1),
        colors=torch.ones(1, 3),
    ).to(device)


def _forty_two() -> int:
    return 42


def _wanted(examination: Examination) -> list[object]:
    from perse.synthesis.production.model_store import weights_in
    from perse_ray.commands.command_line import recipe_of

    return list(weights_in(recipe_of(examination.recipe, None)))


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
