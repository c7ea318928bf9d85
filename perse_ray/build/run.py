"""State of one build under way: what its stages share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any, Protocol

from perse.avatar import Subject
from perse.data import TrackedPortrait, archive
from perse.head import HeadModel
from perse.recipes import Recipe
from perse.training import Checkpoint
from perse_ray.build.components import synthesis_config_of, worker_group_of
from perse_ray.build.manifests import Result, StageManifests
from perse_ray.build.products import Depth
from perse_ray.build.request import BuildRequest
from perse_ray.build.values import synthesis_from_json
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.runtime.progress import stage_line
from perse_ray.runtime.session import is_private, ray_session
from perse_ray.runtime.shared_storage import check_seen_by_all
from perse_ray.synthesis.prompt_supply import ListSupply, PromptSupply, StreamSupply
from perse_ray.synthesis.stages import SynthesisConfig
from perse_ray.synthesis.synthesize import Synthesis
from perse_ray.training.ray_train import WorkerGroup


class BuildStage(Protocol):
    """Stage of a build, which commits with a manifest."""

    @property
    def name(self) -> str:
        """Name of its manifest and its MLflow run."""
        ...

    @property
    def after(self) -> tuple[str, ...]:
        """Stages that it builds on."""
        ...

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        """Values that decide the result besides the stages that it builds on."""
        ...

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        """Do it and return what later stages need to know, as JSON values."""
        ...

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        """Files of the workspace that belong to a result."""
        ...


class BuildRun:
    """State that the stages of one build share.

    Attributes:
        request: what was asked for.
        manifests: which stages are finished.
        log: the MLflow run of the build.
        results: of the stages so far, by name.
    """

    def __init__(self, request: BuildRequest, held: ExitStack, log: BuildLog) -> None:
        self.request, self.log = request, log
        self.manifests = StageManifests(request.workspace, self.tell, Depth.ALL if request.verify else Depth.CHANGED)
        self.results: dict[str, Result] = {}
        self._held, self._ray_started = held, False

    def do(self, stage: BuildStage) -> Result:
        """Result of a stage, made now unless it is finished."""
        digest = self.manifests.digest(stage.name, stage.after, *stage.ingredients(self))
        found = self.manifests.run(
            stage.name, digest, lambda: stage.work(self), lambda result: stage.products(self, result), stage.after
        )
        self.results[stage.name] = found
        before = stage.name in self.manifests.skipped
        self.tell(stage_line(stage.name, None if before else self.manifests.seconds[stage.name]))
        return found

    def tell(self, line: str) -> None:
        """Write a line of progress."""
        if self.request.show:
            self.request.show(line)
        else:
            print(line, flush=True)

    def start_ray(self) -> None:
        """Start Ray, from here to the end of the build; nothing if it runs."""
        if not self._ray_started:
            self._held.enter_context(ray_session(self.request.local))
            self._ray_started = True
            if not is_private():
                check_seen_by_all(self.request.workspace)

    @property
    def recipe(self) -> Recipe:
        return self.request.recipe

    @cached_property
    def head(self) -> HeadModel:
        return self.recipe.head.load()

    @cached_property
    def synthesis_config(self) -> SynthesisConfig:
        return synthesis_config_of(self.recipe)

    @cached_property
    def portrait(self) -> TrackedPortrait:
        return archive.load_portrait(self.request.workspace)

    @cached_property
    def supply(self) -> PromptSupply:
        if self.request.prompts is not None:
            return ListSupply(self.request.prompts)
        return StreamSupply(counts=self.recipe.prompts.counts, seed=self.recipe.prompts.seed)

    @cached_property
    def synthesis(self) -> Synthesis:
        """Result of the synthesis."""
        return synthesis_from_json(self.results["synthesize"])

    @property
    def captured(self) -> str | None:
        """Content key of the clip that the person's own video became; None without a video."""
        return self.results["capture"]["clip"] if "capture" in self.results else None

    @cached_property
    def clips(self) -> tuple[str, ...]:
        """Content keys of the clips, the reference's first."""
        return (self.synthesis.reference, *(subject.clip for subject in self.synthesis.subjects))

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Rows of the avatar's table, in the order of the clips."""
        edited = (Subject(s.edit, s.prompt.category, s.prompt.text) for s in self.synthesis.subjects)
        return (Subject(self.portrait.key, None, ""), *edited)

    @property
    def workers(self) -> WorkerGroup:
        """Workers that train."""
        return worker_group_of(self.recipe)

    def checkpoint(self, stage: str) -> Checkpoint:
        """The final checkpoint of a finished training."""
        found = CheckpointFolder(self.request.workspace, stage).load()
        assert found is not None, f"{stage} is finished, and its manifest was checked"
        return found
