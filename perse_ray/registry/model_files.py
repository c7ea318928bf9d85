"""Files that a registered model brings along so that it stands alone: code, requirements, signature."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import perse
import perse_ray

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from pandas import DataFrame

NEEDED = (
    "jaxtyping", "mlflow", "numba", "numpy", "opencv-contrib-python-headless", "pillow", "pyarrow", "pydantic",
    "safetensors", "scipy", "torch",
)  # fmt: skip
"""Distributions that loading and drawing import; a test traces them."""

NEEDED_TO_SIGN = ("c2pa-python", "cryptography")
"""Only for requests with signed provenance; left out where they are not installed."""


def example() -> DataFrame:
    """Example of an input that every avatar understands."""
    from pandas import DataFrame

    return DataFrame({"request": ['{"width": 64, "height": 64, "camera": {"yaw_deg": 20}}']})


def code_folders() -> list[str]:
    """Folders of this project's packages, from wherever they were imported."""
    return [str(Path(str(package.__file__)).parent) for package in (perse, perse_ray)]


def requirements() -> list[str]:
    """Requirements where the model is loaded, in the versions that are here."""
    found = [f"{name}=={_public(version(name))}" for name in NEEDED]
    for name in NEEDED_TO_SIGN:
        try:
            found.append(f"{name}=={_public(version(name))}")
        except PackageNotFoundError:
            continue
    return found


def signature() -> ModelSignature:
    """Signature: a column of requests in, a column of pictures out."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

    return ModelSignature(Schema([ColSpec(AnyType(), "request")]), Schema([ColSpec(DataType.string)]))


def _public(text: str) -> str:
    """A version without what only the index of one machine knows (2.13.0+cpu)."""
    return text.partition("+")[0]
