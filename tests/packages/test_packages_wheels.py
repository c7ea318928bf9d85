"""What is installed works where nothing else is: wheels in an empty environment, by their commands."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CPU_LOCK = ROOT / "requirements-cpu.lock"
CPU_TORCH = "torch==2.13.0+cpu"


def run(*command: object, cwd: Path, **environment: str) -> str:
    """A program's output; its complaints are shown if it fails."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both distributions, built from a copy of what is in the repository."""
    folder = tmp_path_factory.mktemp("wheels")
    copied = folder / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info", "__pycache__", "tests", "docs")
    shutil.copytree(
        ROOT, copied, ignore=lambda at, names: ignored(at, names) - ({"build"} if "perse_ray" in at else set())
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    for source in (copied, copied / "client"):
        run(*pip, "--no-build-isolation", "-w", folder, source, cwd=folder)
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def requirements(wheel: Path, extra: str = "") -> set[str]:
    """Names that a wheel requires, by itself or for an extra."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        lines = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    wanted = [line for line in lines if (f'extra == "{extra}"' in line if extra else "extra ==" not in line)]
    return {re.split(r"[\[<>=!; ]", line)[0].lower() for line in wanted}


def test_the_wheel_has_all_files_that_the_package_reads(wheels: dict[str, Path]) -> None:
    tracked = {
        str(path.relative_to(ROOT))
        for package in ("perse", "perse_ray")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    inside = members(wheels["perse"])
    assert tracked <= inside, sorted(tracked - inside)[:10]
    assert {name.partition("/")[0] for name in inside if ".dist-info" not in name} == {"perse", "perse_ray"}
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in inside}


def test_the_base_is_the_method_and_the_client_needs_httpx_alone(wheels: dict[str, Path]) -> None:
    base = requirements(wheels["perse"])
    assert "torch" in base and not base & {"ray", "mlflow", "fastapi", "diffusers", "gsplat", "usd-core"}
    assert {"ray", "mlflow"} <= requirements(wheels["perse"], "ray")
    assert requirements(wheels["perse_client"]) == {"httpx"}
    assert members(wheels["perse_client"]) >= {
        "perse_client/__init__.py",
        "perse_client/client.py",
        "perse_client/py.typed",
    }


FOR_WHO_ASKS = {"bitsandbytes", "lpips", "timm", "torchvision"}
"""Imported where a recipe or a comparison asks for them, with a line that says what to install; required by nobody."""
REQUIRED_AS = {
    "PIL": "pillow", "c2pa": "c2pa-python", "cv2": "opencv-contrib-python-headless", "dlib": "dlib-bin",
    "open_clip": "open-clip-torch", "pxr": "usd-core", "skimage": "scikit-image",
    "anyio": "fastapi", "grpc": "ray", "huggingface_hub": "diffusers", "pandas": "mlflow", "pydantic": "fastapi",
    "starlette": "fastapi",
}  # fmt: skip
"""What brings a module of another name; in the last two lines, whose interface it is part of."""


def test_whatever_is_imported_is_required() -> None:
    """jaxtyping and jinja2 once came along with others, until an environment without these others was made."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    required = {normal(re.split(r"[\[<>=]", one)[0]) for one in wanted}
    missing = set()
    for path in (one for package in ("perse", "perse_ray") for one in (ROOT / package).rglob("*.py")):
        for name in imported(path) - sys.stdlib_module_names - {"perse", "perse_ray"} - FOR_WHO_ASKS:
            if normal(REQUIRED_AS.get(name, name)) not in required:
                missing.add((name, str(path.relative_to(ROOT))))
    assert not missing, sorted(missing)


def imported(path: Path) -> set[str]:
    """First words of what a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_distribution_in_the_locks_is_pinned_with_hashes() -> None:
    for lock in (ROOT / "requirements.lock", CPU_LOCK):
        text = lock.read_text()
        pinned = re.findall(r"^([\w.-]+)==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
        assert len(pinned) > 100 and len(pinned) == len(re.findall(r"^[\w.-]+==", text, re.MULTILINE))
    complete, small = ((ROOT / f"requirements{kind}.lock").read_text() for kind in ("", "-cpu"))
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)", complete, re.MULTILINE))
    assert dict(re.findall(r"^([\w.-]+)==(\S+)", small, re.MULTILINE)).items() <= versions.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {re.sub(r"[-_.]+", "-", name).lower() for name in versions}
    for requirement in project["dependencies"]:
        assert re.sub(r"[-_.]+", "-", re.split(r"[\[<>=]", requirement)[0]).lower() in locked


PLATFORMS = {"macos-arm64": "aarch64-apple-darwin", "windows-x86_64": "x86_64-pc-windows-msvc"}
"""Locks of systems that nobody has run this on, by what uv calls the system."""


@pytest.mark.parametrize("name", PLATFORMS)
def test_the_locks_of_other_systems_are_whole_and_without_cuda(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.lock").read_text()
    versions = dict(re.findall(r"^([\w.-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE))
    assert len(versions) == len(re.findall(r"^[\w.-]+==", text, re.MULTILINE)) > 100
    assert not [one for one in versions if one.startswith(("nvidia-", "cuda-", "triton"))]
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)", CPU_LOCK.read_text(), re.MULTILINE))
    other = {one for one in versions.keys() & tested.keys() if versions[one] != tested[one]}
    assert other <= {"c2pa-python"}, "the versions that the tests run with, wherever there is a wheel of them"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [*extras["serve"], *extras["ray"], *extras["export"]]
    for requirement in (one for one in wanted if not one.startswith("perse[")):
        assert re.sub(r"[-_.]+", "-", re.split(r"[\[<>=]", requirement)[0]).lower() in versions, requirement


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "system"), PLATFORMS.items())
def test_an_installer_of_another_system_takes_its_lock(name: str, system: str, tmp_path: Path) -> None:
    """A dry run: every file is there for that system, and nothing is downloaded. Asks the package index."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not here: pip install uv")
    command = [uv, "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--target", str(tmp_path / "there")]
    command += ["--python", sys.executable, "--python-version", "3.11", "--python-platform", system]
    command += ["-r", str(ROOT / "locks" / f"{name}.lock")]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Would install" in done.stderr, done.stderr


@pytest.mark.heavy
def test_the_client_imports_where_only_httpx_is(wheels: dict[str, Path], tmp_path: Path) -> None:
    python = environment(tmp_path)
    run(python, "-m", "pip", "install", "--quiet", wheels["perse_client"], cwd=tmp_path)
    installed = run(python, "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    assert "httpx" in installed and not {"numpy", "torch", "ray"} & {
        line.partition("==")[0] for line in installed.split()
    }
    run(python, "-c", "from perse_client import AvatarClient; AvatarClient('http://127.0.0.1:1').close()", cwd=tmp_path)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_an_empty_environment_builds_and_serves_an_avatar(wheels: dict[str, Path], tmp_path: Path) -> None:
    """The small lock, the wheel, and nothing of this checkout: doctor, a build, a picture, a file."""
    python = environment(tmp_path)
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
    run(*pip, CPU_TORCH, cwd=tmp_path)
    run(*pip, "--require-hashes", "-r", CPU_LOCK, cwd=tmp_path)
    run(*pip, wheels["perse"], cwd=tmp_path)
    perse = python.with_name("perse")
    assert "checks passed" in run(perse, "doctor", "--recipe", "tiny", cwd=tmp_path)
    assert "done in" in run(perse, "build", "--recipe", "tiny", "--workspace", "runs/me", cwd=tmp_path)
    run(perse, "render", "portrait", "--workspace", "runs/me", "--size", 64, "--out", "me.png", cwd=tmp_path)
    run(perse, "export", "--workspace", "runs/me", "--out", "me.ply", "me.usdc", cwd=tmp_path)
    lines = "import perse; a = perse.load('runs/me'); print(a.render(a.look(hat='beanie'), size=64).shape)"
    assert "(64, 64, 4)" in run(python, "-c", lines, cwd=tmp_path)


def environment(folder: Path) -> Path:
    """The interpreter of a new environment with pip and nothing else."""
    venv.create(folder / "environment", with_pip=True)
    return folder / "environment" / "bin" / "python"
