"""Synthesis of clips from prompts on Ray Data: edit → screen → animate until every category has its subjects.

What is finished is known from the workspace alone (content keys), so a run that was killed and started again does
only what is left. A prompt whose edit is rejected or that ends in quarantine is replaced by the next one of its
category as soon as the screen has decided, so that no worker is loaded twice and none waits for a round to end. Which
prompts count is a function of the verdicts, not of when they came (`perse_ray.synthesis.demand`); what is still missing
at the limit is reported and the run goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from perse.attributes import Category
from perse.data import AttributePrompt, archive
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.rows.attempts import AttemptLedger, new_ledger
from perse_ray.rows.executor import Executor
from perse_ray.rows.quarantine import quarantined
from perse_ray.rows.stage import ERROR, FAILED, FAILED_STAGE, KEY, NAME, STATUS, Row, Stage
from perse_ray.runtime.progress import Progress
from perse_ray.synthesis.demand import Demand, refusal_rate
from perse_ray.synthesis.prompt_supply import PromptSupply, wanted
from perse_ray.synthesis.stages import REFERENCE, WORKSPACE, SynthesisConfig, synthesis_stages

log = logging.getLogger(__name__)

MAX_REPLACEMENTS = 3
"""For each subject that a category wants; after that, what is missing is a shortfall."""


@dataclass(frozen=True)
class FilmedEdit:
    """Edited portrait that has its clip.

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
    """Edit that the screen refused.

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
    """Result of a synthesis.

    Attributes:
        reference: content key of the reference clip.
        subjects: in the order of the plan, replacements behind.
        rejected: refused edits.
        quarantined: prompts that could not be finished.
        shortfall: categories that have fewer subjects than wanted, and how many are missing.
    """

    reference: str
    subjects: tuple[FilmedEdit, ...]
    rejected: tuple[Rejection, ...]
    quarantined: tuple[QuarantinedRow, ...]
    shortfall: tuple[tuple[Category, int], ...]


def synthesize(
    workspace: Workspace,
    config: SynthesisConfig,
    supply: PromptSupply,
    *,
    execute: Executor,
    show: Callable[[str], None] | None = None,
    quarantine_share: float = 1.0,
) -> Synthesis:
    """Synthesis of which every clip that is missing is made. The tracked portrait must lie in the workspace.

    Args:
        quarantine_share: of the prompts that were tried, in [0, 1]; more in quarantine than that is an error.

    Raises:
        StageError: the reference could not be filmed, no edit came off at all, too many are in quarantine, or a stage
            cannot start.
    """
    return _Run(workspace, config, supply, execute, show, quarantine_share).finish()


def synthesize_together(
    people: Sequence[tuple[Workspace, PromptSupply]],
    config: SynthesisConfig,
    ledger: AttemptLedger,
    *,
    execute: Executor,
    show: Callable[[str], None] | None = None,
) -> None:
    """Make the missing clips of several people with the same workers, whose weights are then loaded once. What is left
    over, and every judgement, is up to the `synthesize` of each, which finds its clips made.

    Args:
        people: the workspace of each, with the tracked portrait, and the prompts.

    Raises:
        StageError: a stage cannot start or go on.
    """
    runs = {home.location: _Run(home, config, supply, execute, show, 1.0) for home, supply in people}
    queues = [[{**row, WORKSPACE: location} for row in run.pending()] for location, run in runs.items()]
    rows = [row for turn in zip_longest(*queues) for row in turn if row is not None]  # in turn, so that all get on
    if rows:
        _run_and_tell(rows, synthesis_stages(None, config), ledger, execute, runs, show)


def _run_and_tell(
    rows: Sequence[Row],
    stages: tuple[Stage, ...],
    ledger: AttemptLedger,
    execute: Executor,
    runs: Mapping[str, _Run],
    show: Callable[[str], None] | None,
) -> None:
    """Rows through the stages, with those that replace others.

    Args:
        runs: by what the rows have in the column `WORKSPACE`; one alone may be called "".
    """
    rejected = failed = 0
    editors = stages[0].initial_workers
    with Progress("edits", len(rows), write=show) as progress:

        def more(row: Row) -> Sequence[Row]:
            runs[_owner(row)].judge(row)
            others = [_owned(other, name) for name, run in runs.items() for other in run.needed_rows()]
            others += [_owned(other, name) for name, other in _ahead(runs, editors)]
            if others:
                progress.expect(len(others))
            return others

        for row in execute(rows, stages, ledger, more):
            runs[_owner(row)].keep_failed(row)
            failed += row[STATUS] == FAILED
            rejected += row[STATUS] != FAILED and not row["accepted"]
            progress.advance(note=f"{rejected} rejected, {failed} failed" if rejected or failed else "")


def _ahead(runs: Mapping[str, _Run], editors: int) -> Iterator[tuple[str, Row]]:
    """Rows that are likely to be needed, for editors who would otherwise stand still."""
    rate = refusal_rate([demand for run in runs.values() for demand in run.demands.values()])
    idle = editors - sum(run.waiting for run in runs.values())
    for name, run in runs.items():
        for row in islice(run.likely_rows(rate), max(idle, 0)):
            idle -= 1
            yield name, row


def _owner(row: Row) -> str:
    return str(row.get(WORKSPACE, ""))


def _owned(row: Row, name: str) -> Row:
    return {**row, WORKSPACE: name} if name else row


@dataclass
class _Run:
    """One call of `synthesize`."""

    workspace: Workspace
    config: SynthesisConfig
    supply: PromptSupply
    execute: Executor
    show: Callable[[str], None] | None
    quarantine_share: float

    def __post_init__(self) -> None:
        self.identity = archive.load_portrait(self.workspace).key
        self.plan = self.supply.plan()
        self.wanted = wanted(self.plan)
        self.reserves = {
            category: list(islice(self.supply.reserves(category), MAX_REPLACEMENTS * count))
            for category, count in self.wanted.items()
        }
        self._look()

    def _look(self) -> None:
        """What the workspace knows, and what that leaves to be done."""
        self.known = _Known(self.workspace)
        planned = {category: [p for p in self.plan if p.category == category] for category in self.wanted}
        self.streams = {category: [*planned[category], *self.reserves[category]] for category in self.wanted}
        self.demands = {category: Demand(n, len(self.streams[category])) for category, n in self.wanted.items()}
        self.places: dict[str, tuple[Category, int]] = {}

    @property
    def prompts(self) -> list[AttributePrompt]:
        """The plan, then the replacements that are needed, category by category."""
        return [*self.plan, *(p for c, n in self.wanted.items() for p in self.streams[c][n : self.demands[c].needed])]

    @property
    def waiting(self) -> int:
        """Edits that have no verdict yet."""
        return sum(demand.waiting for demand in self.demands.values())

    def finish(self) -> Synthesis:
        rows = self.pending()
        if rows:
            self._work(rows)
        return self._complete(self._outcome())

    def pending(self) -> list[Row]:
        """Rows that are not settled, in the plan's order, with replacements for what an earlier run has refused."""
        self._look()
        rows = {str(row[KEY]): row for row in self.needed_rows()}
        order = [str(row[KEY]) for _, row in self._rows()]
        reference = self.config.row(self.identity, None)
        first = [] if self.known.settles(reference) else [reference]
        return first + [rows[key] for key in dict.fromkeys(order) if key in rows]

    def judge(self, row: Row) -> None:
        """News of a row: it failed, or the screen has decided."""
        if not row["edit"]:  # the reference's
            return
        category, number = self.places[str(row[KEY])]
        if row[STATUS] == FAILED or not row["accepted"]:
            self.demands[category].refuse(number)
        else:
            self.demands[category].accept(number)

    def needed_rows(self) -> Iterator[Row]:
        """Rows that have become needed since the last call."""
        for category, demand in self.demands.items():
            while (number := demand.begin_needed()) is not None:
                yield from self._begun(category, number)

    def likely_rows(self, rate: float) -> Iterator[Row]:
        """Rows that are likely to be needed."""
        for category, demand in self.demands.items():
            while (number := demand.begin_ahead(rate)) is not None:
                yield from self._begun(category, number)

    def _begun(self, category: Category, number: int) -> Iterator[Row]:
        """The row of a prompt; none if an earlier run has settled it."""
        row = self.config.row(self.identity, self.streams[category][number])
        self.places[str(row[KEY])] = (category, number)
        if self.known.refuses(row):
            self.demands[category].refuse(number)
        elif self.known.filmed(row):
            self.demands[category].accept(number)
        else:
            yield row

    def keep_failed(self, row: Row) -> None:
        """Write down what a row failed of."""
        if row[STATUS] == FAILED:
            archive.save_quarantined(self.workspace, quarantined(row))
            log.warning("%s failed in stage %s: %s", row[NAME], row[FAILED_STAGE], row[ERROR])

    def _work(self, rows: list[Row]) -> None:
        """Run rows and what replaces them; failures are written down as they come in."""
        ledger = new_ledger(self.workspace)
        stages = synthesis_stages(self.workspace, self.config)
        _run_and_tell(rows, stages, ledger, self.execute, {"": self}, self.show)
        ledger.close()

    def _rows(self) -> list[tuple[AttributePrompt | None, Row]]:
        """The reference's row and one for each prompt so far."""
        prompts = [None, *self.prompts]
        return [(prompt, self.config.row(self.identity, prompt)) for prompt in prompts]

    def _outcome(self) -> Synthesis:
        """What the workspace holds for the prompts so far."""
        known = _Known(self.workspace)
        (_, reference), *rows = self._rows()
        subjects, rejected, failed = [], [], []
        for prompt, row in rows:
            assert prompt is not None, "only the first row has none"
            edit, clip, verdict = str(row["edit"]), str(row["clip"]), str(row["verdict"])
            if known.filmed(row):
                subjects.append(FilmedEdit(prompt, edit, clip))
            elif known.refused(row):
                reasons = archive.load_verdict(self.workspace, verdict).reasons
                rejected.append(Rejection(prompt, edit, reasons))
            elif known.failed(row):
                failed.append(known.quarantine[clip])
        if known.failed(reference):
            failed.insert(0, known.quarantine[str(reference[KEY])])
        have = wanted([subject.prompt for subject in subjects])
        missing = tuple((c, count - have.get(c, 0)) for c, count in self.wanted.items() if count > have.get(c, 0))
        return Synthesis(str(reference["clip"]), tuple(subjects), tuple(rejected), tuple(failed), missing)

    def _complete(self, outcome: Synthesis) -> Synthesis:
        """Keep the list of prompts, and refuse what cannot be trained on."""
        archive.save_prompts(self.workspace, self.prompts)
        broken = [row for row in outcome.quarantined if row.name == REFERENCE]
        if broken:
            raise StageError(f"the portrait itself could not be animated (stage {broken[0].stage}): {broken[0].error}")
        if not outcome.subjects and self.plan:
            reasons = [row.error for row in outcome.quarantined] + [r.reasons[0] for r in outcome.rejected if r.reasons]
            raise StageError(f"not one edit came off; the first problem was: {(reasons or ['no prompts'])[0]}")
        lost, tried = len(outcome.quarantined), len(self.prompts)
        if lost > self.quarantine_share * tried:
            raise StageError(
                f"{lost} of {tried} prompts ended in quarantine, and the recipe allows {self.quarantine_share:.0%} "
                f"(quarantine_share); the first: {outcome.quarantined[0].error}. perse quarantine list --workspace "
                f"{self.workspace.location} shows all, perse quarantine retry lets them be tried again"
            )
        for category, count in outcome.shortfall:
            log.warning("%s: %d fewer subjects than planned", category.value, count)
        return outcome


class _Known:
    """What a workspace knows about rows, from one listing of its folders."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.edits = set(workspace.names("edits", ".parquet"))
        self.clips = set(workspace.names("clips", ".parquet"))
        self.verdicts = set(workspace.names("edits/verdicts", ".parquet"))
        self.quarantine = {row.key: row for row in archive.load_quarantined(workspace)}

    def filmed(self, row: Row) -> bool:
        """Whether there is a clip, and what it was made of: a row that has lost its edit goes through once more, which
        makes what is missing of it."""
        return row["clip"] in self.clips and (not row["edit"] or self._judged(row))

    def refused(self, row: Row) -> bool:
        return self._judged(row) and not archive.load_verdict(self.workspace, str(row["verdict"])).accepted

    def _judged(self, row: Row) -> bool:
        """Whether there is an edit, and what the screen says of it."""
        return row["edit"] in self.edits and row["verdict"] in self.verdicts

    def failed(self, row: Row) -> bool:
        return row[KEY] in self.quarantine

    def refuses(self, row: Row) -> bool:
        """Whether it came to nothing."""
        return not self.filmed(row) and (self.failed(row) or self.refused(row))

    def settles(self, row: Row) -> bool:
        return self.filmed(row) or self.refuses(row)
