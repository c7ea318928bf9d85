"""Is this machine ready? Checks Python, torch and CUDA, kernels, head model, weights, disk, ports and Ray.

    perse doctor
    perse doctor --recipe paper --workspace /data/runs

Every failure comes with what to do about it. Exit code 0 when nothing failed, 2 otherwise.
"""

from __future__ import annotations

# argparse, not tyro as in the other commands: the doctor must also speak where packages are missing.
import argparse
from collections.abc import Sequence
from pathlib import Path

from perse_ray.commands.doctor import Examination, Finding, Health, examine

EXIT_FAILED = 2


def run(arguments: Sequence[str] | None = None) -> int:
    """Print every finding as it comes; 0 when nothing failed."""
    findings = []
    for finding in examine(_read(arguments)):
        findings.append(finding)
        print(_line(finding), flush=True)
    failed = [finding for finding in findings if finding.health is Health.FAILED]
    print(f"\n{len(failed)} of {len(findings)} checks failed" if failed else f"\nall {len(findings)} checks passed")
    return EXIT_FAILED if failed else 0


def _read(arguments: Sequence[str] | None) -> Examination:
    parser = argparse.ArgumentParser(
        prog="perse doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="laptop", help="the recipe that is to run (default: laptop)")
    parser.add_argument("--workspace", type=Path, default=Path("runs"), help="where its results are to go")
    parser.add_argument("--no-ray", action="store_true", help="do not start a local Ray (saves ten seconds)")
    chosen = parser.parse_args(arguments)
    return Examination(recipe=chosen.recipe, workspace=chosen.workspace, start_ray=not chosen.no_ray)


def _line(finding: Finding) -> str:
    remedy = f"\n{'':18}→ {finding.remedy}" if finding.remedy else ""
    return f"{finding.health.value:6} {finding.name:10} {finding.found}{remedy}"
