"""portrait-Champ by two workers: with all weights each, or with a part each, a training is the same training."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load

pytest.importorskip("diffusers", reason="the production extra is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "synthesis"))

from champ_tiny_networks import OWN_ENDS, SIZES, batch, networks
from test_ray_champ import loop, recipe

from perse.errors import RecipeError
from perse.recipes.champ import champ_paper
from perse.synthesis.production.portrait_champ import (
    AdamConfig,
    ChampNetworks,
    ChampSizes,
    ChampTrainer,
    ChampTrainingConfig,
)
from perse.synthesis.production.portrait_champ.sharing import ShardedWeights
from perse.training import Checkpoint, DistributedReplicas
from perse_ray.training.champ_train import STATE, ChampLoop
from perse_ray.training.seam import WorkerPlace

ROUNDING = 2e-5
"""Of weights after four steps of 1e-3: the norm of the gradients is summed in another order, and where a gradient is
next to nothing Adam makes a step of it all the same."""


def trained(one: ChampLoop, start: Checkpoint, steps: int) -> Checkpoint:
    """Some steps by both workers; what worker 0 keeps."""
    stage = one.build(start, WorkerPlace(torch.device("cpu"), DistributedReplicas()))
    try:
        while stage.step_number < steps:
            stage.step()
        stage.check_replicas()
        kept = [stage.checkpoint() if dist.get_rank() == 0 else None]
    finally:
        stage.close()
    dist.broadcast_object_list(kept, src=0)
    assert kept[0] is not None
    return kept[0]


def work(rank: int, port: int, folder: str) -> None:
    """One of two workers: both stages with all weights, with parts, and with parts after an interruption."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    place = Path(folder)
    whole = loop(place / str(rank))
    whole = replace(whole, training=replace(whole.training, iterations=4))
    parts = replace(whole, recipe=replace(whole.recipe, held_weights="parts"))
    made = {held: trained(one, one.first(), 4) for held, one in (("all", whole), ("parts", parts))}
    half = trained(parts, parts.first(), 2)
    made["resumed"] = trained(parts, half, 4)
    made["with others"] = trained(whole, half, 4)
    for name, content in whole.weights(made["all"]).items():
        whole.workspace.write(f"weights/frames/{name}", content)
    for held, one in (("all", whole), ("parts", parts)):
        motion = replace(one, training=replace(one.recipe.motion, iterations=2), stage="motion", base="weights/frames")
        made[f"motion, {held}"] = trained(motion, motion.first(), 2)
    if rank == 0:
        for name, checkpoint in made.items():
            (place / name).write_bytes(checkpoint.files[STATE])
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.heavy
def test_weights_in_parts_learn_what_whole_ones_learn(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(work, (port, str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]

    def state(name: str) -> dict[str, torch.Tensor]:
        return load((tmp_path / name).read_bytes())

    for one, other in (("all", "parts"), ("all", "with others"), ("motion, all", "motion, parts")):
        expected, found = state(one), state(other)
        assert expected.keys() == found.keys() and len(expected) > 100
        for name, value in expected.items():
            # `ROUNDING` has its reason where it is defined; the same, relative.
            torch.testing.assert_close(found[name], value, atol=ROUNDING, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    straight, resumed = state("parts"), state("resumed")
    assert all(torch.equal(resumed[name], value) for name, value in straight.items())
    samples = loop(tmp_path / "0").workspace.names("report/samples", ".png")
    assert samples == ["frames-00000004", "motion-00000002"]
    assert not loop(tmp_path / "1").workspace.names("report/samples", ".png"), "worker 0 alone writes"


@pytest.fixture
def group_of_one() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("sizes", [SIZES, OWN_ENDS], ids=["shared trunk", "own ends"])
def test_weights_that_are_gathered_block_by_block_are_the_same_weights(sizes: ChampSizes) -> None:
    """All that FSDP does but for dividing by more than one: hooks of all blocks, states, averages that are lent."""
    config = ChampTrainingConfig(iterations=10, batch=2, rate=1e-2, save_memory=True)
    whole = ChampTrainer(networks(sizes), config)
    parts = ChampTrainer(networks(sizes), config, ShardedWeights(torch.device("cpu")))
    assert parts.sharded and not whole.sharded
    for trainer in (whole, parts):
        trainer.step(batch())
    again = ChampTrainer(networks(sizes, speak=False), config, ShardedWeights(torch.device("cpu")))
    again.restore(1, {name: value.clone() for name, value in parts.state().items()})
    with whole.averaging() as expected, again.averaging() as found, torch.no_grad():
        torch.testing.assert_close(drawn(found), drawn(expected))
    for trainer in (whole, again):
        trainer.step(batch())
    expected_state, found_state = whole.state(), again.state()
    assert list(parts.state()) == list(found_state) and expected_state.keys() == found_state.keys()
    for name, value in expected_state.items():
        # Gradients, on average, summed in another order. Where they are zero but for rounding (what asks a single
        # token), Adam steps at random: their values are below 1e-6.
        if name.endswith("exp_avg"):
            torch.testing.assert_close(found_state[name], value, atol=1e-6, rtol=1e-3, msg=name)


def drawn(made: ChampNetworks) -> torch.Tensor:
    given = batch()
    features = made.look(given.reference, given.tokens)
    return made.denoiser(given.latents, torch.tensor([10, 700]), given.tokens, made.guide(given.maps), features)


def test_eight_bit_moments_are_not_divided() -> None:
    paper = champ_paper()
    with pytest.raises(RecipeError, match="8-bit Adam cannot update weights that are held in parts"):
        replace(paper, held_weights="parts")
    replace(paper, held_weights="parts", motion=replace(paper.motion, optimiser=AdamConfig()))


def test_one_worker_holds_everything() -> None:
    from perse.training import SingleReplica

    alone = ChampLoop(
        workspace=None, recipe=replace(recipe(), held_weights="parts"), training=recipe().frames, stage="frames",
        takes=(),
    )  # type: ignore[arg-type]  # fmt: skip
    assert not isinstance(alone._sharing(WorkerPlace(torch.device("cpu"), SingleReplica())), ShardedWeights)
