"""Registration of the avatar as a model in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import perse_ray.serving
from perse.errors import DamagedFile
from perse_ray.build.manifests import Result, Tell
from perse_ray.build.run import BuildRun
from perse_ray.registry.mlflow_log import PENDING, BuildLog
from perse_ray.registry.removal import head_model_name
from perse_ray.runtime.local_folders import folder_copy

REGISTERED_ALIAS = "champion"
MODEL_CODE = Path(perse_ray.serving.__file__).with_name("mlflow_model.py")
"""Run by MLflow where the model is loaded, and not imported here: importing it declares a model."""


def register_avatar(log: BuildLog, name: str) -> str:
    """Name of the model, "NAME version N", as which the avatar in the log's workspace is registered."""
    with folder_copy(log.workspace, "avatar") as folder:
        version = log.register(folder, name, REGISTERED_ALIAS, MODEL_CODE)
    return f"{name} version {version}"


def doubt_model(log: BuildLog, tell: Tell) -> None:
    """Let the avatar be registered again where MLflow does not know what an earlier run registered: its database was
    moved away, or the workspace was."""
    model = settle_model(log)
    if model is not None and not log.has_registered(model):
        tell(f"register: MLflow does not know {model}; the avatar is registered again")
        log.workspace.remove("manifests/register.json")


def settle_model(log: BuildLog) -> str | None:
    """Name of the registered model, "NAME version N", that the workspace tells; None if it tells none.

    A version that was still to be told when the stage ended is written down as soon as MLflow knows it.
    """
    manifest: dict[str, Any] = {}
    with suppress(DamagedFile):  # an unfinished stage, which is found later
        manifest = log.workspace.manifest("register") or {}
    result = manifest.get("result")
    if not isinstance(result, dict) or not isinstance(model := result.get("model"), str):
        return None
    name, _, version = model.partition(" version ")
    if version == PENDING and (told := log.told_later(name)) is not None:
        model = f"{name} version {told}"
        log.workspace.commit("register", {**manifest, "result": {**result, "model": model}})
    return model


class Register:
    """Stage from avatar/ to a version of a registered model, with the alias "champion"."""

    name = "register"
    after = ("export",)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return ()

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        run.tell("register: the avatar goes to MLflow")
        return {"model": register_avatar(run.log, head_model_name(run.portrait.key))}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return ()
