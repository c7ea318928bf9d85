"""Avatars in memory: as many as fit, the newest version, and none dropped while it is in use."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch

from perse.avatar import Avatar, load_avatar, save_avatar
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse_ray.build.stages.register import MODEL_CODE, REGISTERED_ALIAS
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.sources import absolute, find_places
from perse_ray.serving.schema.errors import NoSuchAvatar
from perse_ray.serving.schema.requests import RenderRequest

LOOK = RenderRequest(width=32, height=32)


def darker(avatar: Path) -> Avatar:
    """The same person at night."""
    changed = load_avatar(avatar)
    with torch.no_grad():
        changed.decoder.base[:, 11:14] -= 3
    return changed


def test_as_many_stay_as_fit_and_the_least_used_goes_first(workspace: Path) -> None:
    places = find_places([f"{name}={workspace}" for name in "abc"])
    one = AvatarCache(places, memory_mib=1e-3).avatar("a").mib
    cache = AvatarCache(places, memory_mib=2.5 * one)
    for name in ("a", "b", "a", "c"):
        cache.avatar(name)
    assert cache.in_memory() == ["a", "c"]
    assert 1.9 * one < cache.used_mib < 2.1 * one
    tiny = AvatarCache(places, memory_mib=1e-3)
    tiny.avatar("a")
    tiny.avatar("b")
    assert tiny.in_memory() == ["b"], "one always stays"


def test_what_can_be_asked_is_known_without_loading(workspace: Path) -> None:
    cache = AvatarCache(find_places([str(workspace)]), memory_mib=100)
    before = cache.info("me")
    assert cache.in_memory() == []
    cache.avatar("me")
    assert before == cache.info("me") and before.version
    with pytest.raises(NoSuchAvatar):
        cache.info("you")
    with pytest.raises(NoSuchAvatar):
        cache.avatar("../me")


def test_a_rebuilt_workspace_is_exchanged_under_requests(workspace: Path, tmp_path: Path) -> None:
    own = tmp_path / "me"
    shutil.copytree(workspace, own)
    cache = AvatarCache(find_places([str(own)]), memory_mib=100)
    before = cache.avatar("me").render(LOOK)
    assert cache.refresh() == []
    pictures: list[float] = []
    stop = Event()

    def keep_asking() -> None:
        while not stop.is_set():
            pictures.append(float(cache.avatar("me").render(LOOK).mean()))

    asking = Thread(target=keep_asking)
    asking.start()
    try:
        save_avatar(darker(own / "avatar"), own / "avatar")
        assert cache.refresh() == ["me"]
    finally:
        stop.set()
        asking.join()
    after = cache.avatar("me").render(LOOK)
    assert after.mean() < before.mean() - 5
    assert pictures and set(np.round(pictures, 3)) <= {round(float(p.mean()), 3) for p in (before, after)}


def test_a_version_that_cannot_be_read_leaves_the_old_one(workspace: Path, tmp_path: Path) -> None:
    own = tmp_path / "me"
    shutil.copytree(workspace, own)
    cache = AvatarCache(find_places([str(own)]), memory_mib=100)
    before = cache.avatar("me").render(LOOK)
    (own / "avatar" / "avatar.safetensors").write_bytes(b"half a fi")
    assert cache.refresh() == []
    assert (cache.avatar("me").render(LOOK) == before).all()
    (own / "avatar" / "avatar.json").unlink()
    assert cache.refresh() == []
    assert (cache.avatar("me").render(LOOK) == before).all()


def test_an_alias_is_followed(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    build = BuildLog.open(Workspace.open(tmp_path / "w"), "x")
    build.register(workspace / "avatar", "perse-me", REGISTERED_ALIAS, MODEL_CODE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", build.parent.store.uri)
    cache = AvatarCache(find_places(["models:/perse-me@champion"]), memory_mib=100)
    before = cache.avatar("perse-me").render(LOOK)
    assert cache.info("perse-me").gaussians > 500 and cache.refresh() == []
    save_avatar(darker(workspace / "avatar"), tmp_path / "night")
    with pytest.raises(InputError, match="models:/perse-me@second is not in sqlite"):
        find_places(["models:/perse-me@second"])
    build.register(tmp_path / "night", "perse-me", REGISTERED_ALIAS, MODEL_CODE)
    assert cache.refresh() == ["perse-me"]
    assert cache.avatar("perse-me").render(LOOK).mean() < before.mean() - 5


def test_places_and_their_names(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(find_places([f"anna={workspace}", f" {workspace} "])) == ["anna", "me"]
    (tmp_path / "empty").mkdir()
    for wrong, says in (
        ([str(tmp_path / "empty")], "no finished avatar"),
        ([str(workspace)] * 2, "twice"),
        (["models:/me"], "models:/NAME@ALIAS"),
        ([f"{workspace.parent}/a b"], "cannot be an avatar's id"),
    ):
        with pytest.raises(InputError, match=says):
            find_places(wrong)
    monkeypatch.chdir(tmp_path)
    assert absolute(["x/y", "b=z", "", " s3://b/me", "models:/m@c"]) == [
        str(tmp_path / "x/y"),
        f"b={tmp_path / 'z'}",
        "s3://b/me",
        "models:/m@c",
    ]

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match="set MLFLOW_TRACKING_URI"):
        find_places(["models:/m@champion"])
