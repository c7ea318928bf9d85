"""Without the screen, refused edits are learned too: their clips and features come behind the others'."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perse.attributes import Category
from perse.avatar import Subject
from perse.data import EditedPortrait, TrackedPortrait, archive
from perse.data.tables import prompt_to_row
from perse.data.workspace import Workspace
from perse.recipes import Recipe, WorkerPool, tiny
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.prompts import prompt_stream
from perse_ray.build.ablate import SCREENLESS, AblationRequest, AblationWork, all_variants
from perse_ray.build.features import EncodeWork, encode_rows, feature_file
from perse_ray.build.shared_clips import SharedClips
from perse_ray.build.unscreened import refused_subjects, unscreened
from perse_ray.rows.stage import KEY


@pytest.fixture(scope="module")
def refused(head_model: Any, tracked_astronaut: TrackedPortrait) -> EditedPortrait:
    prompt = next(prompt_stream(Category.EYEBROWS, 0))
    return ProceduralEditorConfig().build(head_model).edit(tracked_astronaut, prompt)


@pytest.fixture
def recipe() -> Recipe:
    here = tiny()
    return replace(here, cluster=replace(here.cluster, animate=WorkerPool(workers=(0, 0))))


def test_refused_edits_come_behind_the_clips_that_all_are_measured_on_and_are_learned(
    tmp_path: Any, head_model: Any, recipe: Recipe, refused: EditedPortrait, tracked_astronaut: TrackedPortrait
) -> None:
    workspace, key = Workspace.open(str(tmp_path)), tracked_astronaut.key
    archive.save_portrait(workspace, tracked_astronaut)
    archive.save_edit(workspace, refused)
    rejection = {"prompt": prompt_to_row(refused.prompt), "edit": refused.key, "reasons": ["somebody else"]}
    result = {"reference": "r", "subjects": [], "rejected": [rejection], "quarantined": [], "shortfall": {}}
    workspace.commit("synthesize", {"result": result})
    clip = recipe.animator.build(head_model).animate(tracked_astronaut, None, recipe.filming.shot(head_model))
    archive.save_clip(workspace, "r", clip)
    (row,) = encode_rows("d", (Subject(key, None, ""),))
    EncodeWork(workspace=workspace, encoder=recipe.encoder).build()(row)
    features = (feature_file(str(row[KEY])),)
    person = (Subject(key, None, ""),)
    shared = SharedClips(workspace=workspace, recipe=recipe, subjects=person, clips=("r",), features=features)
    subjects = refused_subjects(shared)
    assert subjects == (Subject(refused.key, Category.EYEBROWS, refused.prompt.text),)
    run: Any = SimpleNamespace(recipe=recipe)
    looser = unscreened(run, shared, subjects)
    assert looser.subjects == (*person, *subjects) and looser.clips[0] == "r" and looser.features[0] == features[0]
    clip = archive.load_clip(workspace, looser.clips[1])
    assert clip.key == refused.key and np.asarray(clip.images[:]).shape == (13, 64, 64, 3)
    before = workspace.modified_s(f"clips/{looser.clips[1]}.parquet")
    assert unscreened(run, shared, subjects) == looser
    assert workspace.modified_s(f"clips/{looser.clips[1]}.parquet") == before, "it is filmed once"
    request = AblationRequest(workspace=workspace, recipe=recipe, steps=1, frames=1)
    assert list(all_variants(recipe))[-1] == SCREENLESS
    work = AblationWork(shared=shared, unscreened=looser, request=request).build()
    work({KEY: "k", "variant": SCREENLESS})
    assert workspace.read_json("measurements/ablation-k.json")["metrics"]["PSNR"]["value"] > 10
