"""Clips that many avatars share, synthesised once: what baselines and ablations are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch

from perse.attributes import Category
from perse.avatar import Avatar, AvatarConfig, StartConfig, Subject, create_avatar
from perse.data import PortraitClip, archive
from perse.data.keys import content_key, identity_of
from perse.data.presence import absent_categories
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.recipes import Recipe
from perse.training import ClipStore
from perse_ray.build.features import EncoderConfig, EncodeWork, encode_rows, feature_file, load_features
from perse_ray.build.request import BuildRequest
from perse_ray.build.run import BuildRun
from perse_ray.build.stages import Encode, Synthesize, Track
from perse_ray.build.values import synthesis_from_json
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.stage import KEY
from perse_ray.training.clips import load_clips, training_frames, unseen_frames


@dataclass(frozen=True, kw_only=True)
class SharedClips:
    """Clips of a finished synthesis, as a value that travels.

    Attributes:
        workspace: where they are; recipe: that made them.
        subjects: rows of the subjects table, the reference first; clips: their content keys.
        features: files of f_I and f_T, in the same order.
    """

    workspace: Workspace
    recipe: Recipe
    subjects: tuple[Subject, ...]
    clips: tuple[str, ...]
    features: tuple[str, ...]

    @staticmethod
    def of(workspace: Workspace, recipe: Recipe) -> SharedClips:
        """Clips of a workspace whose synthesis is finished, whatever came after it.

        Raises:
            InputError: it is not.
        """
        made, encoded = workspace.manifest("synthesize"), workspace.manifest("encode")
        if made is None or encoded is None:
            raise InputError(f"{workspace.location} has no finished clips; build an avatar there first (perse build)")
        found = synthesis_from_json(made["result"])
        key = archive.load_portrait(workspace).key
        edited = (Subject(s.edit, s.prompt.category, s.prompt.text) for s in found.subjects)
        return SharedClips(
            workspace=workspace,
            recipe=recipe,
            subjects=(Subject(key, None, ""), *edited),
            clips=(found.reference, *(subject.clip for subject in found.subjects)),
            features=tuple(encoded["result"]["files"]),
        )

    @staticmethod
    def made(request: BuildRequest) -> SharedClips:
        """Clips, of which those that are missing are made, and nothing more of a build."""
        request.workspace.claim(identity_of(request.photograph))
        with ExitStack() as held, BuildLog.open(request.workspace, "clips").recorded() as log:
            run = BuildRun(request, held, log)
            for stage in (Track(), Synthesize(), Encode()):
                run.do(stage)
        return SharedClips.of(request.workspace, request.recipe)

    def divided(self, categories: Sequence[Category], held_out: int) -> tuple[SharedClips, SharedClips]:
        """Subjects of some categories to train on, the reference first; and the last few of each, to be held out.

        Raises:
            InputError: a category has too few.
        """
        train, rest = [0], []
        for category in categories:
            rows = [row for row, subject in enumerate(self.subjects) if subject.category is category]
            if len(rows) < held_out + 2:
                raise InputError(
                    f"{self.workspace.location} has {len(rows)} clips of {category.value}; tables need two to train on "
                    f"and {held_out} to hold out: choose other --categories"
                )
            train += rows[: len(rows) - held_out]
            rest += rows[len(rows) - held_out :]
        return self._only(train), self._only(rest)

    def _only(self, rows: Sequence[int]) -> SharedClips:
        subjects, clips, features = (tuple(values[row] for row in rows) for values in self._columns)
        return replace(self, subjects=subjects, clips=clips, features=features)

    @property
    def _columns(self) -> tuple[tuple[Any, ...], ...]:
        return self.subjects, self.clips, self.features

    def encoded_by(self, encoder: EncoderConfig) -> SharedClips:
        """Clips with another encoder's features, which are made now where they are missing."""
        if encoder == self.recipe.encoder:
            return self
        rows = encode_rows(content_key("features of", encoder, fingerprint(encoder)), self.subjects)
        missing = [row for row in rows if not self.workspace.has(feature_file(str(row[KEY])))]
        work = EncodeWork(workspace=self.workspace, encoder=encoder).build() if missing else None
        for row in missing:
            assert work is not None, "something is missing"
            work(row)
        recipe = replace(self.recipe, encoder=encoder)  # type: ignore[arg-type]
        return replace(self, recipe=recipe, features=tuple(feature_file(str(row[KEY])) for row in rows))

    def training(self) -> ClipStore:
        """Frames to train on."""
        return training_frames(self._store(), self.recipe.filming.train_frames)

    def unseen(self) -> list[PortraitClip]:
        """Frames that are never trained on, subject by subject."""
        store = unseen_frames(self._store(), self.recipe.filming.train_frames)
        return [store.clip(row) for row in range(store.n_subjects)]

    def avatar(self, config: AvatarConfig, start: StartConfig, seed: int) -> Avatar:
        """An untrained avatar of these subjects."""
        recipe, store = self.recipe, self.training()
        found = load_features(self.workspace, self.features)
        return create_avatar(
            recipe.head.load(), [store.clip(row) for row in range(store.n_subjects)], self.subjects,
            torch.as_tensor(found.image), torch.as_tensor(found.text),
            absent_categories(archive.load_portrait(self.workspace)), config, start, seed=seed,
            encoder=recipe.encoder.name,
        )  # fmt: skip

    def _store(self) -> ClipStore:
        return load_clips(self.workspace, self.clips, self.recipe.cluster.clips_mib)
