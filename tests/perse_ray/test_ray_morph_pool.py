"""Morphs come in order and complete, whatever happens to the actors that make them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray_fakes import Doubling, Homeless

from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.rows.stage import Resources
from perse_ray.runtime.serve_session import serve_session
from perse_ray.training.morph_pool import MorphPool, PoolSize, morph_pool
from perse_ray.training.pooled_morphs import TargetsAhead

pytestmark = pytest.mark.usefixtures("one_serve")
TWO = PoolSize(actors=(2, 2))


@pytest.fixture(scope="module")
def one_serve(ray_session: None) -> Iterator[None]:
    """Serve for all of these pools: each would begin and end one of its own, for seconds."""
    with serve_session(http=None):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "w")


def requests(journal: Path) -> Counter[int]:
    return Counter(int(line.split()[1]) for line in journal.read_text().splitlines())


def ahead(pool: MorphPool, stop: int, set_aside: Callable[[Any, str], None] = lambda *_: None) -> TargetsAhead:
    return TargetsAhead(pool, lambda step: (step, str(step % 4)), start=0, stop=stop, window=4, set_aside=set_aside)


def doubled(targets: TargetsAhead, steps: int, between: Callable[[int], None] = lambda step: None) -> list[int | None]:
    found: list[int | None] = []
    for step in range(steps):
        between(step)
        target = targets.get(step)
        found.append(None if target is None else int(target["doubled"][0, 0]))
    return found


def test_every_step_gets_its_own_target_and_a_second_run_finds_them(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "j"
    for run in range(2):
        with morph_pool(Doubling(workspace, str(journal)), TWO) as pool:
            targets = ahead(pool, 12)
            assert doubled(targets, 12) == list(range(0, 24, 2))
            stats = targets.stats
            assert (stats.made, stats.found) == ((12, 0) if run == 0 else (0, 12))
            # What was found cost nothing; what was made is counted, but is no part of the answer that is kept.
            assert (stats.unet_calls, stats.unet_rows, stats.ends_made) == ((36, 60, 24) if run == 0 else (0, 0, 0))
    assert set(requests(journal).values()) == {1}
    assert len(workspace.names("morphs", ".npz")) == 12


def test_an_actor_that_is_killed_costs_time_and_no_step(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "j"

    def kill(step: int) -> None:
        if step in (5, 15):
            os.kill(int(journal.read_text().splitlines()[-1].split()[0]), signal.SIGKILL)

    with morph_pool(Doubling(workspace, str(journal), pause_s=0.1), TWO) as pool:
        targets = ahead(pool, 30)
        assert doubled(targets, 30, kill) == list(range(0, 60, 2))
    assert targets.stats.given_up == 0


def test_a_request_that_cannot_be_met_is_given_up_until_none_can(workspace: Workspace, tmp_path: Path) -> None:
    work = Doubling(workspace, str(tmp_path / "j"), mishaps=tuple((n, "raise") for n in (3, *range(8, 20))))
    with morph_pool(work, TWO) as pool:
        aside: list[tuple[int, str]] = []
        targets = ahead(pool, 20, set_aside=lambda task, why: aside.append((task, why)))
        assert [found is None for found in doubled(targets, 8)] == [step == 3 for step in range(8)]
        with pytest.raises(StageError, match=r"3 morphs in a row could not be made.*two"):
            for step in range(8, 20):
                targets.get(step)
    assert targets.stats.made == 7
    assert [task for task, _ in aside] == [3, 8, 9, 10] and all("two" in why for _, why in aside)


def test_an_actor_that_hangs_is_not_waited_for(workspace: Workspace, tmp_path: Path) -> None:
    """Its own step is given up; one that stood behind it at the same actor gets its target from another."""
    work = Doubling(workspace, str(tmp_path / "j"), mishaps=((0, "hang"),))
    with morph_pool(work, PoolSize(task_limit_s=2.0)) as pool:
        targets = ahead(pool, 3)
        assert doubled(targets, 3) == [None, 2, 4]
    assert targets.stats.given_up == 1


def test_all_workers_share_one_pool_and_its_morphs(workspace: Workspace, tmp_path: Path) -> None:
    """Two clients that want the same: each morph is made once, by one of the two actors."""
    journal = tmp_path / "j"
    with morph_pool(Doubling(workspace, str(journal)), TWO) as pool:
        first = ray.get(ray.remote(num_cpus=0)(_client).remote(pool, 10))
        second = ray.get(ray.remote(num_cpus=0)(_client).remote(pool, 10))
    assert first == second == list(range(0, 20, 2))
    assert set(requests(journal).values()) == {1}
    assert len({line.split()[0] for line in journal.read_text().splitlines()}) <= 2


def _client(pool: MorphPool, steps: int) -> list[int | None]:
    return doubled(ahead(pool, steps), steps)


def test_a_damaged_morph_is_made_again(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "j"
    for _ in range(2):
        with morph_pool(Doubling(workspace, str(journal)), PoolSize()) as pool:
            assert doubled(ahead(pool, 2), 2) == [0, 2]
        (workspace.path / "morphs" / f"{workspace.names('morphs', '.npz')[0]}.npz").write_bytes(b"half a file")
    assert sorted(requests(journal).values()) == [1, 2]


def test_a_pool_that_nowhere_has_room_for_is_named_within_its_limit(workspace: Workspace, tmp_path: Path) -> None:
    size = PoolSize(actors=(2, 4), resources=Resources(num_gpus=1.0), placement_limit_s=0.5)
    with pytest.raises(StageError, match=r"no room for 2 morph actors of 0.1 CPU, 1 GPU each.*0 GPU"):  # noqa: SIM117
        with morph_pool(Doubling(workspace, str(tmp_path / "j")), size):
            raise AssertionError("there is no GPU here")


def test_a_pool_whose_room_others_hold_is_not_waited_for_without_end(workspace: Workspace, tmp_path: Path) -> None:
    """Empty, the cluster would hold it, so that its nodes alone do not tell."""
    most = 0.6 * ray.cluster_resources()["CPU"]
    holder = ray.remote(num_cpus=most)(Holder).remote()
    assert ray.get(holder.here.remote())
    size = PoolSize(resources=Resources(num_cpus=most), start_limit_s=2.0)
    with pytest.raises(StageError, match=r"after 2 s there are not yet 1 morph actors of .* CPU each; free .* CPU"):  # noqa: SIM117
        with morph_pool(Doubling(workspace, str(tmp_path / "j")), size):
            raise AssertionError("somebody else has its place")
    ray.kill(holder)


class Holder:
    """Claims resources and does nothing."""

    def here(self) -> bool:
        return True


def test_a_pool_whose_work_cannot_be_built_says_why(workspace: Workspace) -> None:
    work = HomelessMorphs(workspace)
    with pytest.raises(StageError, match=r"morph actors cannot start: the model is not there; run `make models`"):  # noqa: SIM117
        with morph_pool(work, PoolSize()):
            raise AssertionError("its model is not there")


class HomelessMorphs(Homeless):
    ingredients = "nothing"

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace


def test_copies_of_shared_memory_can_be_written_to(workspace: Workspace, tmp_path: Path) -> None:
    with morph_pool(Doubling(workspace, str(tmp_path / "j")), PoolSize()) as pool:
        target = ahead(pool, 1).get(0)
    assert target is not None and isinstance(target["doubled"], np.ndarray)
