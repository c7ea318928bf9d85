"""What a transfer leaves in the workspace."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from synthetic_avatar import synthetic_avatar

from perse.attributes import Category
from perse.avatar import Subject
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.evaluation.transfer_scores import TransferScores
from perse.export.edits import find_subject
from perse.export.opening import open_avatar
from perse_ray.build.manifests import StageManifests
from perse_ray.build.stages.export import FILES
from perse_ray.build.stages.register import REGISTERED_ALIAS
from perse_ray.build.transfer import _known_clips, _publish, _write_avatar
from perse_ray.registry.mlflow_store import EXPERIMENT, Store


def test_a_repeated_build_keeps_the_avatar_that_a_transfer_wrote(head_model, tiny_clips, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    workspace = Workspace.open(tmp_path / "me")
    avatar = synthetic_avatar(head_model, tiny_clips)
    told: list[str] = []

    def build() -> StageManifests:
        manifests = StageManifests(workspace, told.append)
        manifests.run("export", manifests.digest("export", ()), lambda: _exported(), lambda _: FILES)
        return manifests

    def _exported() -> dict[str, str]:
        for name in FILES:
            workspace.write(name, b"as trained")
        return {}

    assert build().skipped == []
    avatar.add_subject(Subject("0123abcd", Category.HAT, "A person wearing a navy cap"), *torch.randn(2, 64))
    avatar.decoder.pivots = torch.cat([avatar.decoder.pivots, torch.zeros(1, 8)])
    avatar.decoder.pivot_rows = torch.cat([avatar.decoder.pivot_rows, torch.tensor([-1])])
    _write_avatar(workspace, avatar)
    assert build().skipped == ["export"] and told == []
    again = open_avatar(workspace.location)
    assert find_subject(again, Category.HAT, "navy cap").key == "0123abcd"


def test_an_avatar_without_its_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks the clips"):
        _known_clips(Workspace.open(tmp_path / "me"))


def test_the_avatar_with_it_becomes_the_person_s_model(head_model, tiny_clips, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A version with the alias; numbers and sheet in a run of the build's."""
    import mlflow

    workspace = Workspace.open(tmp_path / "me")
    _write_avatar(workspace, synthetic_avatar(head_model, tiny_clips))
    reports = ("report/transfer-0123abcd.png", "report/transfer-0123abcd.json")
    for name in reports:
        workspace.write(name, b"{}")
    scores = TransferScores(**{field.name: 1.0 for field in fields(TransferScores)})
    name = f"perse-{'ab' * 6}"
    assert _publish(workspace, "ab" * 16, "0123abcd" * 4, scores, reports) == f"{name} version 1"
    client = mlflow.MlflowClient(Store.beside(workspace).uri)
    assert client.get_model_version_by_alias(name, REGISTERED_ALIAS).version == 1
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    [noted, *_] = [run for run in runs if run.info.run_name == "transfer 0123abcd" and run.data.metrics]
    assert noted.data.metrics["part_psnr"] == 1.0
    kept = {one.path for one in client.list_artifacts(noted.info.run_id, "report")}
    assert kept == set(reports)
