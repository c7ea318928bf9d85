"""The doctor: every failure has a remedy, and none stops the others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from perse.errors import HeadModelError
from perse_ray.commands import doctor
from perse_ray.commands.doctor import Examination, Finding, Health, examine
from perse_ray.commands.doctor_report import run

ROOT = Path(__file__).parents[2]
QUICK = Examination(start_ray=False, ports=())


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path / "weights"))


def by_name(examination: Examination) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(examination)}


def test_this_machine_is_ready_for_the_laptop_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    found = by_name(QUICK)
    assert {"python", "packages", "torch", "kernels", "head", "faces", "weights", "disk", "ray"} <= set(found)
    for name in ("python", "torch", "kernels", "head", "faces", "weights", "ray"):
        assert found[name].health is Health.OK, found[name]
    assert run(["--no-ray", "--recipe", "tiny"]) == 0
    assert "checks passed" in capsys.readouterr().out


def test_every_failure_has_a_remedy() -> None:
    found = by_name(Examination(recipe="paper", start_ray=False))
    assert found["weights"].health is Health.FAILED
    assert found["weights"].remedy.startswith("perse models fetch")
    for finding in found.values():
        assert (finding.health is Health.OK) == (finding.remedy == ""), finding
        assert "\n" not in finding.found + finding.remedy


def test_a_machine_without_a_gpu_is_not_ready_for_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = by_name(Examination(recipe="paper", start_ray=False))
    assert found["torch"].health is Health.FAILED and "GPU" in found["torch"].remedy
    assert found["kernels"].health is Health.FAILED


def test_a_recipe_that_needs_more_memory_than_there_is_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    real, less = os.sysconf, {"SC_PHYS_PAGES": 12 << 18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", lambda name: less.get(name) or real(name))
    assert doctor.check_memory(Examination(recipe="laptop")).health is Health.OK
    found = doctor.check_memory(Examination(recipe="paper"))
    assert found.health is Health.FAILED and "needs about 17" in found.found and "watched_subjects" in found.remedy


def test_recipes_of_ones_own_are_examined_too() -> None:
    own = Examination(recipe="perse.recipes.paper:paper_permissive", start_ray=False, ports=())
    assert "sdxl-inpainting" in doctor.check_weights(own).remedy
    assert "flux" not in doctor.check_weights(own).remedy


def test_a_check_that_breaks_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Examination) -> Finding:
        raise ImportError("libGL.so.1: cannot open shared object file")

    def known(_: Examination) -> Finding:
        raise HeadModelError("head.npz is not a head model")

    broken.__name__, known.__name__ = "check_faces", "check_head"
    monkeypatch.setattr(doctor, "check_faces", broken)
    monkeypatch.setattr(doctor, "check_head", known)
    found = by_name(QUICK)
    assert found["faces"].health is found["head"].health is Health.FAILED
    assert "libGL" in found["faces"].found and "head.npz" in found["head"].found
    assert found["disk"].name == "disk"


def test_full_disks_busy_ports_old_pythons_and_missing_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        ports = doctor.check_ports(Examination(ports=(port,)))
    assert ports.health is Health.NOTE and str(port) in ports.found
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**28, total=1, used=1))
    disk = doctor.check_disk(Examination(recipe="paper", workspace=tmp_path / "not" / "yet"))
    assert disk.health is Health.FAILED and "free some space" in disk.remedy
    monkeypatch.setattr(doctor.sys, "version_info", (3, 14, 0))
    assert doctor.check_python(QUICK).health is Health.FAILED
    monkeypatch.setattr(doctor, "REQUIRED", ("no-such-package-at-all",))
    assert "no-such-package-at-all" in doctor.check_packages(QUICK).found


def test_ray_that_does_not_start_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise ConnectionError("could not connect to ray://nowhere")

    monkeypatch.setattr("perse_ray.runtime.session.ray_session", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "ray://nowhere")
    found = doctor.check_ray(Examination())
    assert found.health is Health.FAILED and "RAY_AUTH_TOKEN" in found.remedy


def test_the_command_prints_help_without_importing_torch() -> None:
    heavy = "any(m in sys.modules for m in ('torch', 'ray', 'tyro'))"
    code = f"import sys, perse_ray.commands.doctor_report; sys.exit(int({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
