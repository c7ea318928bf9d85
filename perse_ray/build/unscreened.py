"""Clips without the quality screen: those of the edits that it refused are learned too."""

from __future__ import annotations

from dataclasses import replace

from perse.avatar import Subject
from perse.data import archive
from perse.data.keys import clip_key, content_key
from perse.data.workspace import Workspace
from perse.errors import GenerationError
from perse.recipes import Recipe
from perse.synthesis.clip_check import check_clip
from perse_ray.build.components import synthesis_config_of
from perse_ray.build.features import EncodeWork, encode_rows, feature_file
from perse_ray.build.run import BuildRun
from perse_ray.build.shared_clips import SharedClips
from perse_ray.build.values import synthesis_from_json
from perse_ray.build.worker_rows import run_once
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.stage import KEY


def refused_subjects(shared: SharedClips) -> tuple[Subject, ...]:
    """Edits of a finished synthesis that the screen refused."""
    made = shared.workspace.manifest("synthesize")
    assert made is not None, "the clips are there"
    refused = synthesis_from_json(made["result"]).rejected
    return tuple(Subject(one.edit, one.prompt.category, one.prompt.text) for one in refused)


def unscreened(run: BuildRun, shared: SharedClips, refused: tuple[Subject, ...]) -> SharedClips:
    """Clips with those of refused edits behind them, as far as these can be filmed at all; what is missing of them is
    made now."""
    recipe, workspace = run.recipe, shared.workspace
    clips = run_once(run, "film refused edits", film_refused, workspace, recipe, refused, pool=recipe.cluster.animate)
    filmed = [(subject, clip) for subject, clip in zip(refused, clips, strict=True) if clip is not None]
    subjects = tuple(subject for subject, _ in filmed)
    features = _features(workspace, recipe, subjects)
    return replace(
        shared,
        subjects=(*shared.subjects, *subjects),
        clips=(*shared.clips, *(clip for _, clip in filmed)),
        features=(*shared.features, *features),
    )


def film_refused(workspace: Workspace, recipe: Recipe, subjects: tuple[Subject, ...]) -> list[str | None]:
    """Content keys of their clips, in order; None of an edit that cannot be filmed."""
    return [_filmed(workspace, recipe, subject) for subject in subjects]


def _filmed(workspace: Workspace, recipe: Recipe, subject: Subject) -> str | None:
    animator = synthesis_config_of(recipe).animator_of(subject.category)
    makers = (animator, recipe.head)
    key = clip_key(subject.key, makers, recipe.filming, fingerprint(*makers))
    if workspace.has(f"clips/{key}.parquet"):
        return key
    model = recipe.head.load()
    edited, shot = archive.load_edit(workspace, subject.key), recipe.filming.shot(model)
    try:
        clip = animator.build(model).animate(archive.load_portrait(workspace), edited, shot)
        check_clip(clip, shot)
    except GenerationError:
        return None
    archive.save_clip(workspace, key, clip)
    return key


def _features(workspace: Workspace, recipe: Recipe, subjects: tuple[Subject, ...]) -> tuple[str, ...]:
    rows = encode_rows(content_key("features of", recipe.encoder, fingerprint(recipe.encoder)), subjects)
    missing = [row for row in rows if not workspace.has(feature_file(str(row[KEY])))]
    if missing:
        work = EncodeWork(workspace=workspace, encoder=recipe.encoder).build()
        for row in missing:
            work(row)
    return tuple(feature_file(str(row[KEY])) for row in rows)
