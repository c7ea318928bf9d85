"""The avatar as a model in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import perse_ray.serving
from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun
from perse_ray.registry.removal import head_model_name
from perse_ray.runtime.local_folders import folder_copy

REGISTERED_ALIAS = "champion"
MODEL_CODE = Path(perse_ray.serving.__file__).with_name("mlflow_model.py")
"""Run by MLflow where the model is loaded, and not imported here: importing it declares a model."""


class Register:
    """avatar/ → a version of a registered model, with the alias "champion"."""

    name = "register"
    after = ("export",)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return ()

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        run.tell("register: the avatar goes to MLflow")
        name = head_model_name(run.portrait.key)
        with folder_copy(run.request.workspace, "avatar") as folder:
            version = run.log.register(folder, name, REGISTERED_ALIAS, MODEL_CODE)
        return {"model": f"{name} version {version}"}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return ()
