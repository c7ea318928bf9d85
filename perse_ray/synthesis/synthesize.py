"""From prompts to clips, on Ray Data: rounds of edit → screen → animate until every category has its subjects.

What is finished is known from the workspace alone (content keys), so a run that was killed and started again does
only what is left. A prompt whose edit is rejected or that ends in quarantine is replaced by the next one of its
category, a few rounds long; what is then still missing is reported and the run goes on without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from perse.attributes import Category
from perse.data import AttributePrompt, archive
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.rows.attempts import AttemptLedger, new_ledger
from perse_ray.rows.stage import ATTEMPTS, ERROR, FAILED, FAILED_STAGE, KEY, NAME, STATUS, TRACEBACK, Row, Stage
from perse_ray.runtime.progress import Progress
from perse_ray.synthesis.prompt_supply import PromptSupply, wanted
from perse_ray.synthesis.stages import REFERENCE, Studio, synthesis_stages

log = logging.getLogger(__name__)

MAX_REPLACEMENT_ROUNDS = 3
"""After that, what is missing is a shortfall."""

Executor = Callable[[Iterable[Row], tuple[Stage, ...], AttemptLedger], Iterator[Row]]
"""`perse_ray.rows.on_ray_data.run`, or `perse_ray.rows.in_process.run`."""


@dataclass(frozen=True)
class Subject:
    """An edited portrait that has its clip.

    Attributes:
        prompt: what was asked for.
        edit: key of the edited portrait, which is also the key inside the clip.
        clip: content key of the clip, its file name in ``clips/``.
    """

    prompt: AttributePrompt
    edit: str
    clip: str


@dataclass(frozen=True)
class Rejection:
    """An edit that the screen refused.

    Attributes:
        prompt: what was asked for.
        edit: key of the edited portrait, which is kept.
        reasons: why.
    """

    prompt: AttributePrompt
    edit: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Synthesis:
    """What came out.

    Attributes:
        reference: content key of the reference clip.
        subjects: in the order of the plan, replacements behind.
        rejected: refused edits.
        quarantined: prompts that could not be finished.
        shortfall: categories that have fewer subjects than wanted, and how many are missing.
    """

    reference: str
    subjects: tuple[Subject, ...]
    rejected: tuple[Rejection, ...]
    quarantined: tuple[QuarantinedRow, ...]
    shortfall: tuple[tuple[Category, int], ...]


def synthesize(
    workspace: Workspace,
    studio: Studio,
    supply: PromptSupply,
    *,
    execute: Executor,
    show: Callable[[str], None] | None = None,
) -> Synthesis:
    """Make every clip that is missing. The tracked portrait must lie in the workspace.

    Raises:
        StageError: the reference could not be filmed, no edit came off at all, or a stage cannot start.
    """
    return _Run(workspace, studio, supply, execute, show).finish()


@dataclass
class _Run:
    """One call of `synthesize`."""

    workspace: Workspace
    studio: Studio
    supply: PromptSupply
    execute: Executor
    show: Callable[[str], None] | None
    identity: str = field(init=False)
    prompts: list[AttributePrompt | None] = field(init=False)

    def __post_init__(self) -> None:
        self.identity = archive.load_portrait(self.workspace).key
        self.prompts = [None, *self.supply.plan()]

    def finish(self) -> Synthesis:
        stages = synthesis_stages(self.workspace, self.studio)
        ledger = new_ledger(self.workspace)
        reserves = {category: self.supply.reserves(category) for category in self._wanted()}
        self._work(stages, ledger)
        for _ in range(MAX_REPLACEMENT_ROUNDS):
            missing = self._outcome().shortfall
            more = [prompt for category, count in missing for prompt in islice(reserves[category], count)]
            if not more:
                break
            log.info("%d prompts replace what was rejected or failed", len(more))
            self.prompts += more
            self._work(stages, ledger)
        ledger.close()
        return self._complete(self._outcome())

    def _wanted(self) -> dict[Category, int]:
        return wanted(self.supply.plan())

    def _work(self, stages: tuple[Stage, ...], ledger: AttemptLedger) -> None:
        """Run all rows whose outcome is not known yet; failures are written down as they come in."""
        known = _Known(self.workspace)
        rows = [row for row in self._rows() if not known.settles(row)]
        if not rows:
            return
        rejected = failed = 0
        with Progress("edits", len(rows), write=self.show) as progress:
            for row in self.execute(rows, stages, ledger):
                if row[STATUS] == FAILED:
                    failed += 1
                    archive.save_quarantined(self.workspace, _quarantined(row))
                    log.warning("%s failed in stage %s: %s", row[NAME], row[FAILED_STAGE], row[ERROR])
                elif not row["accepted"]:
                    rejected += 1
                progress.advance(note=f"{rejected} rejected, {failed} failed" if rejected or failed else "")

    def _rows(self) -> list[Row]:
        return [self.studio.row(self.identity, prompt) for prompt in self.prompts]

    def _outcome(self) -> Synthesis:
        """What the workspace holds for the prompts so far."""
        known = _Known(self.workspace)
        rows = self._rows()
        subjects, rejected, failed = [], [], []
        for prompt, row in zip(self.prompts[1:], rows[1:], strict=True):
            assert prompt is not None
            edit, clip, verdict = str(row["edit"]), str(row["clip"]), str(row["verdict"])
            if known.filmed(row):
                subjects.append(Subject(prompt, edit, clip))
            elif known.refused(row):
                reasons = archive.load_verdict(self.workspace, verdict).reasons
                rejected.append(Rejection(prompt, edit, reasons))
            elif known.failed(row):
                failed.append(known.quarantine[clip])
        if known.failed(rows[0]):
            failed.insert(0, known.quarantine[str(rows[0][KEY])])
        have = wanted([subject.prompt for subject in subjects])
        missing = tuple((c, count - have.get(c, 0)) for c, count in self._wanted().items() if count > have.get(c, 0))
        return Synthesis(str(rows[0]["clip"]), tuple(subjects), tuple(rejected), tuple(failed), missing)

    def _complete(self, outcome: Synthesis) -> Synthesis:
        """Keep the list of prompts, and refuse what cannot be trained on."""
        archive.save_prompts(self.workspace, [prompt for prompt in self.prompts if prompt is not None])
        broken = [row for row in outcome.quarantined if row.name == REFERENCE]
        if broken:
            raise StageError(f"the portrait itself could not be animated (stage {broken[0].stage}): {broken[0].error}")
        if not outcome.subjects:
            reasons = [row.error for row in outcome.quarantined] + [r.reasons[0] for r in outcome.rejected if r.reasons]
            raise StageError(f"not one edit came off; the first problem was: {(reasons or ['no prompts'])[0]}")
        for category, count in outcome.shortfall:
            log.warning("%s: %d fewer subjects than planned", category.value, count)
        return outcome


class _Known:
    """What a workspace knows about rows, from one listing of its folders."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.clips = set(workspace.names("clips", ".parquet"))
        self.verdicts = set(workspace.names("edits/verdicts", ".parquet"))
        self.quarantine = {row.key: row for row in archive.load_quarantined(workspace)}

    def filmed(self, row: Row) -> bool:
        return row["clip"] in self.clips

    def refused(self, row: Row) -> bool:
        verdict = str(row["verdict"])
        return verdict in self.verdicts and not archive.load_verdict(self.workspace, verdict).accepted

    def failed(self, row: Row) -> bool:
        return row[KEY] in self.quarantine

    def settles(self, row: Row) -> bool:
        return self.filmed(row) or self.failed(row) or self.refused(row)


def _quarantined(row: Row) -> QuarantinedRow:
    return QuarantinedRow(
        key=str(row[KEY]),
        name=str(row[NAME]),
        stage=str(row[FAILED_STAGE]),
        error=str(row[ERROR]),
        traceback=str(row[TRACEBACK]),
        attempts=int(row[ATTEMPTS]),
    )
