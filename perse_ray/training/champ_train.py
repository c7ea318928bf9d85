"""Loops of portrait-Champ's training, one a stage: small values that are built where they run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from perse.data.images import encode_image
from perse.data.keys import content_key
from perse.data.workspace import Workspace
from perse.errors import RecipeError
from perse.evaluation.champ_preview import Preview, preview
from perse.recipes.champ import ChampRecipe
from perse.synthesis.production.portrait_champ import ChampBatch, ChampReport, ChampTrainer, ChampTrainingConfig
from perse.synthesis.production.portrait_champ.batches import SamplePictures
from perse.synthesis.production.portrait_champ.footage import Footage
from perse.synthesis.production.portrait_champ.footage_sampler import Take, sample_footage
from perse.synthesis.production.portrait_champ.footage_table import FootageFile
from perse.synthesis.production.portrait_champ.networks import ChampNetworks
from perse.synthesis.production.portrait_champ.sharing import ShardedWeights, Sharing, WholeWeights
from perse.synthesis.production.portrait_champ.storage import TENSORS, fill, networks_to_files
from perse.training.checkpoint import Checkpoint
from perse.training.replicas import Replicas, parameter_digest
from perse_ray.training.seam import WorkerPlace

STATE, NUMBERS = "state.safetensors", "state.json"
PREVIEWED = 4
"""Videos on a strip of samples."""


@dataclass(frozen=True, kw_only=True)
class ChampLoop:
    """Training of one stage."""

    workspace: Workspace
    """Where footage is, and where strips of samples go."""
    recipe: ChampRecipe
    """Everything that does not differ between the stages."""
    training: ChampTrainingConfig
    """The stage's numbers."""
    stage: str
    """Its name."""
    base: str = ""
    """Folder in the workspace with the weights of the stage before; empty for the first."""
    takes: tuple[Take, ...]
    """Videos to train on."""

    @property
    def steps(self) -> int:
        return self.training.iterations

    def first(self) -> Checkpoint:
        """Checkpoint where this stage starts. Weights are made where it runs."""
        return Checkpoint(0, {NUMBERS: self._numbers(0), STATE: b""})

    def build(self, start: Checkpoint, place: WorkerPlace) -> ChampStage:
        """Training of the stage, continued from a checkpoint.

        Raises:
            RecipeError: the checkpoint was made with another configuration.
            MissingWeightsError: the weights to start with are not there.
        """
        networks = self.networks().to(place.device)
        trainer = ChampTrainer(networks, self.training, self._sharing(place))
        if json.loads(start.files[NUMBERS])["made_of"] != self.made_of():
            raise RecipeError(
                "the checkpoint was made with another recipe or other videos; use the same ones, or a new workspace"
            )
        if start.step:
            trainer.restore(start.step, load(start.files[STATE]))
        return ChampStage(self, trainer, place.replicas)

    def _sharing(self, place: WorkerPlace) -> Sharing:
        replicas = place.replicas
        if self.recipe.held_weights == "parts" and replicas.world > 1:
            return ShardedWeights(place.device)

        def backward(module: nn.Module, forward: Callable[[], Tensor]) -> None:
            replicas.backward(module, [forward], None)

        return WholeWeights(replicas.rank, backward)

    def networks(self) -> ChampNetworks:
        """Networks as they are before this stage's first step."""
        torch.manual_seed(self.training.seed)
        networks = self.recipe.sizes.build(moves=self.training.moves)
        if self.recipe.start is not None:
            self.recipe.start.apply(networks)
        if self.base:
            name = f"{self.base}/{TENSORS}"
            fill(networks, load(self.workspace.read(name)), name, may_lack="motion_modules")
        return networks

    def checkpoint_of(self, step: int, state: Mapping[str, Tensor]) -> Checkpoint:
        """Checkpoint of a trainer's state."""
        return Checkpoint(step, {NUMBERS: self._numbers(step), STATE: save(dict(state))})

    def weights(self, final: Checkpoint) -> dict[str, bytes]:
        """Files of the averaged weights, by name."""
        networks = self.networks()
        trainer = ChampTrainer(networks, self.training)
        trainer.restore(final.step, load(final.files[STATE]))
        return networks_to_files(networks, trainer.averaged(), self.recipe.name)

    def made_of(self) -> str:
        """Key of everything that decides the weights."""
        recipe = self.recipe
        return content_key(
            self.training, recipe.sizes, recipe.latents, recipe.tokens, recipe.start, recipe.held_out_every, self.takes,
            self.base and self.workspace.fingerprint([f"{self.base}/{TENSORS}"]),
        )  # fmt: skip

    def _numbers(self, step: int) -> bytes:
        return json.dumps({"step": step, "made_of": self.made_of()}).encode()


class ChampStage:
    """A stage in progress."""

    def __init__(self, loop: ChampLoop, trainer: ChampTrainer, replicas: Replicas) -> None:
        self._loop, self._trainer, self._replicas = loop, trainer, replicas
        self._latents = loop.recipe.latents.build(trainer.device)
        self._tokens = loop.recipe.tokens.build(trainer.device)
        self._reader = ThreadPoolExecutor(1)
        self._gathered: Mapping[str, Tensor] = {}
        self._ahead: tuple[int, Future[SamplePictures]] | None = None

    @property
    def step_number(self) -> int:
        return self._trainer.step_number

    @property
    def is_settled(self) -> bool:
        return True  # no step is skipped

    def step(self) -> ChampReport:
        report = self._trainer.step(self._batch(self.step_number))
        done = self.step_number
        if done == self._loop.steps or done % self._loop.recipe.sample_every == 0:
            # By all workers: they may hold the weights in parts, and else they would wait, for longer than NCCL lets.
            drawn = self.sample()
            if self._replicas.rank == 0:
                self._keep(drawn)
        return report

    def checkpoint(self) -> Checkpoint:
        state, self._gathered = self._gathered or self._trainer.state(), {}
        return self._loop.checkpoint_of(self.step_number, state)

    def check_replicas(self) -> None:
        """Do nothing: parts have nothing to be compared with; they are gathered for the checkpoint, which takes all
        workers."""
        if self._trainer.sharded:
            self._gathered = self._trainer.state()
        elif self._replicas.world > 1:
            self._replicas.check_equal(parameter_digest(self._trainer.networks), "weights")

    def close(self) -> None:
        self._reader.shutdown(cancel_futures=True)

    def sample(self) -> Preview:
        """Previews of a few videos, drawn by the averaged weights from their first frame and their guidance."""
        footage = [_read(self._loop.workspace, take.key, range(take.frames)) for take in self._loop.takes[:PREVIEWED]]
        with self._trainer.averaging() as networks:
            return preview(
                networks, footage, self._latents, self._tokens, self._loop.recipe.sampling,
                moves=self._loop.training.moves, held_out_every=self._loop.recipe.held_out_every,
            )  # fmt: skip

    def _keep(self, found: Preview) -> None:
        name = f"report/samples/{self._loop.stage}-{self.step_number:08d}"
        self._loop.workspace.write(f"{name}.png", encode_image(found.strip))
        self._loop.workspace.write_json(f"{name}.json", found.numbers)

    def _batch(self, step: int) -> ChampBatch:
        """The step's samples on the device; the next step's are read while this one computes."""
        known = self._ahead
        pictures = known[1].result() if known is not None and known[0] == step else self._read(step)
        self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        return pictures.encoded(self._latents, self._tokens, self._trainer.device)

    def _read(self, step: int) -> SamplePictures:
        loop, training = self._loop, self._loop.training
        samples = sample_footage(
            loop.takes, seed=training.seed, step=step, rank=self._replicas.rank, world=self._replicas.world,
            batch=training.batch, frames=training.frames, stride=training.stride,
            held_out_every=loop.recipe.held_out_every,
        )  # fmt: skip
        return SamplePictures.of([_read(loop.workspace, one.key, (one.reference, *one.frames)) for one in samples])


def _read(workspace: Workspace, key: str, numbers: Sequence[int]) -> Footage:
    return FootageFile(workspace, key).read(numbers)
