"""Sources of avatars: finished workspaces, and the model registry by alias.

::

    runs/me                            the workspace's name is the avatar's id
    s3://bucket/me
    models:/perse-1234@champion        the model's name is the avatar's id
    anna=models:/perse-1234@champion   or give one

A place has a *version*, which changes when what lies there does: a rebuilt workspace, or an alias that points to
another version of the model. Asking for it is cheap; a replica does so every few seconds for what it has in memory.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from safetensors import SafetensorError, safe_open

from perse.attributes import Category
from perse.data.consent import FILE as CONSENT
from perse.data.workspace import Workspace
from perse.errors import InputError, PerseError
from perse_ray.registry.mlflow_store import Store
from perse_ray.serving.schema.consent import read_consent_info
from perse_ray.serving.schema.errors import Unavailable
from perse_ray.serving.schema.requests import AVATAR_ID, AvatarInfo, SubjectInfo

if TYPE_CHECKING:
    from mlflow import MlflowClient

Answer = TypeVar("Answer")

_MODEL = re.compile(r"models:/([^@/]+)@([^@/]+)")
_FILES = ("avatar/avatar.safetensors", "avatar/avatar.json")


class Place(Protocol):
    """Place of an avatar. A small value that travels to other processes."""

    def version(self) -> str:
        """Version that lies there now.

        Raises:
            PerseError: nothing usable, or nobody answers.
        """
        ...

    def fetch(self, version: str, into: Path) -> Path:
        """Folder of the avatar: the place's own if it is local, otherwise a copy in a new folder `into`.

        Raises:
            PerseError: the version is not there, or nobody answers.
        """
        ...


@dataclass(frozen=True)
class WorkspacePlace:
    """The avatar of a finished workspace."""

    workspace: Workspace

    def version(self) -> str:
        if not self.workspace.has(_FILES[-1]):
            raise InputError(
                f"{self.workspace.location} holds no finished avatar; "
                "build one with `perse build` or `perse build-body` first"
            )
        return self.workspace.fingerprint(_FILES)

    def fetch(self, version: str, into: Path) -> Path:
        if self.workspace.is_local:
            return self.workspace.path / "avatar"
        into.mkdir(parents=True, exist_ok=True)
        consent = f"avatar/{CONSENT}"
        for name in (*_FILES, *([consent] if self.workspace.has(consent) else [])):
            (into / Path(name).name).write_bytes(self.workspace.read(name))
        return into


@dataclass(frozen=True)
class RegistryPlace:
    """The version of a registered model that an alias points to, in the registry of `MLFLOW_TRACKING_URI`."""

    model: str
    alias: str

    def version(self) -> str:
        return str(self._asked(lambda client: client.get_model_version_by_alias(self.model, self.alias).version))

    def fetch(self, version: str, into: Path) -> Path:
        def download(client: MlflowClient) -> Path:
            from mlflow.artifacts import download_artifacts

            place = client.get_model_version_download_uri(self.model, version)
            into.mkdir(parents=True, exist_ok=True)
            return Path(download_artifacts(f"{place}/artifacts", dst_path=str(into), tracking_uri=_registry()))

        found = sorted(self._asked(download).rglob("avatar.json"))
        if not found:
            raise InputError(f"version {version} of {self.model} holds no avatar; `perse build` registers them")
        return found[0].parent

    def _asked(self, question: Callable[[MlflowClient], Answer]) -> Answer:
        client = Store(_registry(), None).client()
        from mlflow.exceptions import MlflowException

        try:
            return question(client)
        except MlflowException as error:
            reason = " ".join(str(error).split())[:200]
            raise Unavailable(f"models:/{self.model}@{self.alias} is not in {_registry()} ({reason})") from None


def _registry() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InputError("models:/NAME@ALIAS needs to know the registry: set MLFLOW_TRACKING_URI")
    return uri


def find_places(texts: Sequence[str]) -> dict[str, Place]:
    """Places by the ids of their avatars, each asked for its version once, so that mistakes show at the start.

    Raises:
        InputError: there is no avatar, its name cannot be an id, or two have the same.
    """
    found: dict[str, Place] = {}
    for text in texts:
        name, place = _parsed(text.strip())
        if not AVATAR_ID.fullmatch(name) or name in found:
            raise InputError(f"{name!r} cannot be an avatar's id (letters, digits, - and _) or is there twice")
        try:
            place.version()
        except PerseError as error:
            raise InputError(str(error)) from error
        found[name] = place
    return found


def absolute(texts: Sequence[str]) -> list[str]:
    """Places for processes with another working directory; empty ones left out."""
    whole = []
    for text in filter(None, map(str.strip, texts)):
        name, place = _split(text)
        local = "://" not in place and not place.startswith("models:")
        place = str(Path(place).expanduser().absolute()) if local else place
        whole.append(f"{name}={place}" if name else place)
    return whole


def _split(text: str) -> tuple[str, str]:
    """The id, empty if none is given, and the place."""
    name, equals, place = text.partition("=")
    return (name, place) if equals and AVATAR_ID.fullmatch(name) else ("", text)


def _parsed(text: str) -> tuple[str, Place]:
    name, text = _split(text)
    model = _MODEL.fullmatch(text)
    if model:
        return name or model[1], RegistryPlace(model[1], model[2])
    if text.startswith("models:"):
        raise InputError(f"expected models:/NAME@ALIAS, got {text[:100]!r}")
    location = text if "://" in text else str(Path(text).expanduser().absolute())
    return name or location.rstrip("/").rpartition("/")[2], WorkspacePlace(Workspace(location))


def read_info(name: str, folder: Path) -> AvatarInfo:
    """Description of the avatar in a folder, without loading it.

    Raises:
        InputError: the folder holds no readable avatar.
    """
    try:
        about = json.loads((folder / "avatar.json").read_text())
        subjects = [
            SubjectInfo(id=row["key"], category=Category(row["category"]), text=row["text"])
            for row in about["subjects"]
            if row["category"]
        ]
        with safe_open(folder / "avatar.safetensors", "numpy") as tensors:
            gaussians = tensors.get_slice("decoder.regions").get_shape()[0]
        return AvatarInfo(
            id=name, identity=about["key"], subjects=subjects, expressions=about["expression_names"],
            joints=about["joint_names"], gaussians=gaussians, consent=read_consent_info(folder),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"the avatar {name} cannot be read; repeat `perse build`, or copy it again") from error
