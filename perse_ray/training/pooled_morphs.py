"""Morphs of a training worker, made by the pool some steps ahead of it.

The schedule is a pure function of the step, so the future is known and a window of requests is always under way. A
replica that dies costs its requests another try and the loop, at most, some waiting; the targets, and so the training,
are the same. A morph that cannot be made is in quarantine, its step is taught by a cross-fade, and the run goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from ray.exceptions import RayActorError, RayError, RayTaskError

from perse.data import archive
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse.training import ClipStore, FineTuner, MorphRequest, MorphTarget
from perse_ray.rows.on_ray_data import readable
from perse_ray.training.morph_pool import REQUESTS_UNDER_WAY, MorphPool
from perse_ray.training.morph_work import STAGE, Answer, Arrays, MorphTask

log = logging.getLogger(__name__)

MAX_TRIES = 5
"""Replicas that one request may take down, or wait for in vain, before it is given up."""

MAX_FAILURES_IN_A_ROW = 3
"""Requests that fail one after the other before the run is ended: by then it is not the request."""

RETRY_PAUSE_S = 0.5

LIMITS_WAITED = REQUESTS_UNDER_WAY + 2
"""How often one morph's time limit a request is waited for: there are those before it, and a new replica's start."""

WINDOW_AT_LEAST = 16
"""Steps whose targets are under way or ready. Their pictures stay in memory."""

Task = TypeVar("Task")


@dataclass
class PoolStats:
    """Work that the pool did for one worker.

    Attributes:
        waited_s: seconds that the loop stood still for a target.
        made, found: targets that were computed, and that lay in the workspace.
        made_s: seconds of actors for those that were computed.
        unet_calls, unet_rows, ends_found, ends_made: of the actors for the same, as in `MorphCost`.
        retries: requests that were given to another replica because theirs died or did not answer.
        given_up: requests without a target.
        under_way: requests that are not answered yet.
    """

    waited_s: float = 0.0
    made: int = 0
    found: int = 0
    made_s: float = 0.0
    unet_calls: int = 0
    unet_rows: int = 0
    ends_found: int = 0
    ends_made: int = 0
    retries: int = 0
    given_up: int = 0
    under_way: int = 0

    def count(self, answer: Answer) -> None:
        """Add an answer, and what the actor spent on it unless it lay in the workspace."""
        self.found += answer.found
        if answer.found:
            return
        cost = answer.cost
        self.made += 1
        self.made_s += cost.seconds
        self.unet_calls += cost.unet_calls
        self.unet_rows += cost.unet_rows
        self.ends_found += cost.ends_found
        self.ends_made += cost.ends_made


class TargetsAhead:
    """Targets by step, from a pool.

    Args:
        pool: who makes them.
        schedule: the task of a step, and a name that it shares with tasks that are quicker after it. Pure.
        start, stop: steps that will be asked for, in order.
        window: how many of them are under way or ready at once.
        set_aside: told of every task without a target, and why.
    """

    def __init__(
        self,
        pool: MorphPool,
        schedule: Callable[[int], tuple[Any, str]],
        *,
        start: int,
        stop: int,
        window: int,
        set_aside: Callable[[Any, str], None],
    ) -> None:
        self.stats = PoolStats()
        self._pool, self._schedule, self._handle, self._set_aside = pool, schedule, pool.handle(), set_aside
        self._next, self._stop, self._window = start, stop, window
        self._flying: dict[int, Any] = {}
        self._failures = 0

    def get(self, step: int) -> Arrays | None:
        """Target of a step. None where it could not be made (counted, rare).

        Raises:
            StageError: several requests in a row failed; the message is the last one's.
        """
        while self._next < min(self._stop, step + self._window):
            self._flying[self._next] = self._ask(self._next)
            self._next += 1
        begin = time.perf_counter()
        arrays = self._received(step)
        self.stats.waited_s += time.perf_counter() - begin
        self.stats.under_way = len(self._flying)
        return arrays

    def _ask(self, step: int) -> Any:
        task, route = self._schedule(step)
        handle = self._handle.options(method_name="make", multiplexed_model_id=route)
        return handle.remote(self._pool.key(task), task)

    def _received(self, step: int) -> Arrays | None:
        from ray.serve.exceptions import RayServeException

        for tries in range(MAX_TRIES):
            response = self._flying.pop(step, None) or self._ask(step)
            try:
                answer: Answer = response.result(timeout_s=LIMITS_WAITED * self._pool.task_limit_s)
            except (RayActorError, RayServeException, TimeoutError) as error:
                response.cancel()
                self.stats.retries += 1
                log.info("the morph of step %d is asked for again (%s)", step, readable(error, 100))
                time.sleep(RETRY_PAUSE_S * 2**tries)
            except (RayTaskError, RayError) as error:
                self._given_up(step, readable(error))
                return None
            else:
                self._failures = 0
                self.stats.count(answer)
                return answer.arrays
        self._given_up(step, f"{MAX_TRIES} tries ended without an answer")
        return None

    def _given_up(self, step: int, reason: str) -> None:
        self.stats.given_up += 1
        self._failures += 1
        log.warning("no morph for step %d: %s", step, reason)
        self._set_aside(self._schedule(step)[0], reason)
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            raise StageError(f"{self._failures} morphs in a row could not be made: {reason}")

    def close(self) -> None:
        """Drop what is under way."""
        for response in self._flying.values():
            response.cancel()
        self._flying.clear()


class PooledMorphs:
    """Source of one worker's morphs in its fine-tuning (`MorphSource`).

    Args:
        pool: who makes the morphs.
        workspace: where those that cannot be made are put in quarantine.
        clips: content keys of the clips by row of the subjects table.
        store: their training frames, for the fallback.
        stop: the last step.
    """

    def __init__(
        self, pool: MorphPool, workspace: Workspace, clips: tuple[str, ...], store: ClipStore, stop: int
    ) -> None:
        self._pool, self._workspace, self._clips, self._store, self._stop = pool, workspace, clips, store, stop
        self._tuner: FineTuner | None = None
        self._shares: tuple[int, ...] = (0,)
        self._ahead: TargetsAhead | None = None

    def serve(self, tuner: FineTuner) -> None:
        """Start working for a fine-tuning run, from its next step on."""
        self._tuner = tuner
        replicas = tuner.trainer.replicas
        self._shares = replicas.shares
        of_all = -(-2 * self._pool.actors // replicas.world)
        self._ahead = TargetsAhead(
            self._pool,
            self._scheduled,
            start=tuner.trainer.step_number * len(self._shares),
            stop=self._stop * len(self._shares),
            window=max(WINDOW_AT_LEAST * len(self._shares), of_all),
            set_aside=self._quarantined,
        )

    def _scheduled(self, number: int) -> tuple[MorphTask, str]:
        """The task of a step's share, which are numbered through."""
        assert self._tuner is not None, "serve() comes first"
        step, place = divmod(number, len(self._shares))
        task = self.task(self._tuner.request(step, self._shares[place]))
        return task, f"{task.category.value} {task.frame_number}"

    def task(self, request: MorphRequest) -> MorphTask:
        """Task of a request, in terms of content."""
        first, second = self._clips[request.first], self._clips[request.second]
        return MorphTask(first, second, request.category, request.frame_number, request.alphas)

    def get(self, request: MorphRequest) -> MorphTarget:
        """The target of a share of the run's next step. A morph that could not be made becomes a cross-fade, and is
        counted."""
        assert self._tuner is not None and self._ahead is not None, "serve() comes first"
        place = self._tuner.requests().index(request)
        arrays = self._ahead.get(self._tuner.trainer.step_number * len(self._shares) + place)
        if arrays is None:
            return cross_fade(request, self._store)
        # Copies: what comes out of Ray's shared memory cannot be written to, which torch does not like.
        parts = arrays["parts"].copy() if "parts" in arrays else None
        return MorphTarget(tuple(arrays["alphas"].tolist()), arrays["images"].copy(), parts)

    def _quarantined(self, task: MorphTask, reason: str) -> None:
        assert self._tuner is not None, "serve() comes first"
        subjects = self._tuner.trainer.avatar.subjects
        first, second = (subjects[self._clips.index(clip)].text for clip in (task.first_clip, task.second_clip))
        archive.save_quarantined(
            self._workspace,
            QuarantinedRow(
                key=self._pool.key(task),
                name=f"{first} to {second}, frame {task.frame_number}",
                stage=STAGE,
                error=reason,
                traceback="",
                attempts=1,
            ),
        )

    @property
    def stats(self) -> PoolStats:
        return self._ahead.stats if self._ahead else PoolStats()

    def close(self) -> None:
        if self._ahead:
            self._ahead.close()


def cross_fade(request: MorphRequest, store: ClipStore) -> MorphTarget:
    """Blend of the two frames: the poorest morph, but never a wrong one at the ends."""
    ends = store.batch([request.first, request.second], [request.frame] * 2).images.numpy().astype(np.float32)
    mixed = [(1 - alpha) * ends[0] + alpha * ends[1] for alpha in request.alphas]
    return MorphTarget(request.alphas, (np.stack(mixed) + 0.5).astype(np.uint8))
