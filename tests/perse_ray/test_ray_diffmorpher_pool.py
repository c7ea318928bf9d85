"""The paper's teacher in the pool that training uses: an actor that is killed changes no bit of any morph."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ray_fakes import Journaled
from tiny_diffusion import save_tiny_diffusion, tiny_config

from perse.attributes import Category
from perse.data import PortraitClip, archive
from perse.data.workspace import Workspace
from perse.head.sources import EmbeddedHead
from perse.morphing import DiffMorpherConfig, SubjectLoraConfig
from perse_ray.rows import in_process
from perse_ray.synthesis.stages import Pool
from perse_ray.synthesis.subject_adapters import AdapterWork, train_adapters
from perse_ray.training.morph_pool import MorphPool, PoolSize, morph_pool
from perse_ray.training.morph_work import MorphTask
from perse_ray.training.pooled_morphs import TargetsAhead

ALPHAS = tuple(n / 6 for n in range(1, 6))


@pytest.fixture
def work(tiny_clips: list[tuple[PortraitClip, Category | None]], tmp_path: Path) -> Journaled:
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    save_tiny_diffusion(tmp_path / "weights")
    workspace = Workspace.open(tmp_path / "w")
    for number, (clip, _) in enumerate(tiny_clips[:3]):
        archive.save_clip(workspace, f"clip-{number}", clip)
    lora = SubjectLoraConfig(model=tiny_config(tmp_path / "weights"), rank=2, rate=1e-2, epochs=1, batch_size=4)
    names = {f"subject {number}": f"clip-{number}" for number in range(3)}
    frames = tuple(tiny_clips[0][0].frame_numbers[:4].tolist())
    made = train_adapters(
        AdapterWork(workspace=workspace, lora=lora, frames=frames), names, Pool(), execute=in_process.run
    )
    assert len(made.ready) == 3
    morpher = DiffMorpherConfig(lora=lora, steps=4, ends_mib=64, adapters_mib=16)
    return Journaled(workspace=workspace, head=EmbeddedHead(), morpher=morpher, journal=str(tmp_path / "process"))


def tasks(work: Journaled) -> list[MorphTask]:
    """Two frames of two pairs that share an end."""
    numbers = archive.open_clip(work.workspace, "clip-0").frame_numbers[:2].tolist()
    ends = [("clip-0", "clip-1"), ("clip-1", "clip-2")]
    return [MorphTask(a, b, Category.HAT, frame, ALPHAS) for a, b in ends for frame in numbers]


def targets(pool: MorphPool, wanted: list[MorphTask], killed_before: int = -1, journal: str = "") -> list[np.ndarray]:
    ahead = TargetsAhead(
        pool, lambda step: (wanted[step], str(step)), start=0, stop=len(wanted), window=2, set_aside=lambda *_: None
    )
    found, killed = [], 0
    for step in range(len(wanted)):
        if step == killed_before:
            killed = int(Path(journal).read_text())
            os.kill(killed, signal.SIGKILL)
        target = ahead.get(step)
        assert target is not None
        found.append(target["images"].copy())
    # A request is tried again only if the kill met it; another actor has made what came after in any case.
    assert not killed or int(Path(journal).read_text()) != killed
    return found


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in an actor: sums on two threads round differently, and on a busy machine MKL takes one of two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("ray_session", "one_thread")
def test_a_killed_diffmorpher_costs_time_and_no_bit(work: Journaled) -> None:
    wanted = tasks(work)
    alone = work.build()
    expected = [alone(task).arrays["images"] for task in wanted]
    assert not np.array_equal(expected[0][0], expected[0][-1]), "the morph goes somewhere"
    with morph_pool(work, PoolSize()) as pool:
        found = targets(pool, wanted, killed_before=1, journal=work.journal)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("one_thread")
def test_what_an_actor_remembers_changes_no_bit(work: Journaled) -> None:
    """Ends and adapters are kept: a cache too small for one end gives the same pictures as one that holds all."""
    wanted = tasks(work)
    forgetful = replace(work, morpher=replace(work.morpher, ends_mib=0, adapters_mib=0))  # type: ignore[type-var]
    pictures = [[maker(task).arrays["images"] for task in wanted] for maker in (work.build(), forgetful.build())]
    np.testing.assert_array_equal(*pictures)
