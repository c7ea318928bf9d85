"""Values of a build as plain JSON: what manifests, metrics.json and MLflow keep."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import perse
from perse.attributes import Category
from perse.data.tables import QuarantinedRow, prompt_to_row, row_to_prompt
from perse.evaluation import EvaluationReport
from perse_ray.synthesis.synthesize import FilmedEdit, Rejection, Synthesis

PACKAGES = ("torch", "ray", "mlflow", "numpy", "numba", "mediapipe", "anny")


def synthesis_to_json(found: Synthesis) -> dict[str, Any]:
    """A synthesis for its manifest."""
    return {
        "reference": found.reference,
        "subjects": [{"prompt": prompt_to_row(s.prompt), "edit": s.edit, "clip": s.clip} for s in found.subjects],
        "rejected": [
            {"prompt": prompt_to_row(r.prompt), "edit": r.edit, "reasons": list(r.reasons)} for r in found.rejected
        ],
        "quarantined": [vars(row) for row in found.quarantined],
        "shortfall": {category.value: count for category, count in found.shortfall},
    }


def synthesis_from_json(value: Mapping[str, Any]) -> Synthesis:
    """The inverse of `synthesis_to_json`."""
    return Synthesis(
        reference=value["reference"],
        subjects=tuple(FilmedEdit(row_to_prompt(s["prompt"]), s["edit"], s["clip"]) for s in value["subjects"]),
        rejected=tuple(
            Rejection(row_to_prompt(r["prompt"]), r["edit"], tuple(r["reasons"])) for r in value["rejected"]
        ),
        quarantined=tuple(QuarantinedRow(**row) for row in value["quarantined"]),
        shortfall=tuple((Category(name), count) for name, count in value["shortfall"].items()),
    )


def evaluation_to_json(measured: EvaluationReport) -> dict[str, Any]:
    """An evaluation for metrics.json: a row for each category, by its name; the reference's row stands apart."""
    values = measured.to_json()
    rows = {row["category"]: row for row in values["by_category"]}
    return {**values, "reference": rows.pop("reference", None), "by_category": rows}


def numbers_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a mapping, for MLflow."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def all_numbers_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of nested mappings, for MLflow: "captured.psnr" → 34.0. It takes no other signs in names."""
    found = numbers_of(values)
    for name, inner in values.items():
        if isinstance(inner, Mapping):
            found |= {f"{name}.{member}": number for member, number in all_numbers_of(inner).items()}
    return {re.sub(r"[^\w\-. :/]", "_", name): number for name, number in found.items()}


def flat_params(config: object) -> dict[str, object]:
    """Parameters of MLflow of a nested configuration: "training.rates.points" → 0.02."""
    return dict(_flat("", config))


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    if is_dataclass(value) and not isinstance(value, type):
        members = [(f.name, getattr(value, f.name)) for f in fields(value)]
        if not members:
            yield name or type(value).__name__, type(value).__name__
        for member, inner in members:
            yield from _flat(f"{name}.{member}" if name else member, inner)
    elif isinstance(value, Enum):
        yield name, value.name
    else:
        yield name, value


def versions() -> dict[str, str]:
    """Versions of what this ran with."""
    found = {"perse": perse.__version__, "python": platform.python_version(), "cores": str(os.cpu_count())}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # a slimmer installation
            continue
    return found


def without_nan(value: Any) -> Any:
    """Value of dicts, lists and numbers for JSON, in which nan is null."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
