"""Examples for the part network, drawn on Ray Data: one row an example, finished ones are kept."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from perse.data.keys import content_key
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse.head.sources import HeadSource
from perse.training.parsing.examples import PartExample, prepare_example
from perse.training.parsing.sources import PortraitSources, packaged_walls
from perse.training.parsing.variations import VariationConfig
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.executor import Executor
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.stage import ERROR, FAILED, KEY, NAME, STATUS, Row, Stage, Value
from perse_ray.runtime.progress import Progress

FOLDER = "examples"


@dataclass(frozen=True, kw_only=True)
class DrawExample:
    """Work of one row: vary a portrait, let the colour models look at it, save."""

    workspace: Workspace
    """Where examples go."""
    head: HeadSource
    """Of the tracker that finds the sources' faces."""
    sources: PortraitSources
    """Portraits whose parts are known."""
    variation: VariationConfig
    """How they are varied."""

    def build(self) -> DrawingExamples:
        return DrawingExamples(self)


class DrawingExamples:
    """Worker that draws examples; see `DrawExample`."""

    def __init__(self, config: DrawExample) -> None:
        self._config = config
        self._portraits = config.sources.load(config.head.load())
        self._walls = packaged_walls()

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        """The name of the portrait that the example was made from."""
        seed, config = int(row["seed"]), self._config
        portrait = self._portraits[seed % len(self._portraits)]
        example = prepare_example(portrait, seed, self._walls, config.variation)
        config.workspace.write(example_name(str(row[KEY])), example.to_bytes())
        return {"source": portrait.source}


def example_name(key: str) -> str:
    """Name of the file of an example."""
    return f"{FOLDER}/{key}.npz"


def draw_examples(
    work: DrawExample, count: int, workers: int, *, execute: Executor, show: Callable[[str], None] | None = None
) -> Iterator[PartExample]:
    """First `count` examples; what is not there yet is drawn.

    Raises:
        StageError: an example cannot be drawn.
    """
    rows = _rows(work, count)
    waiting = [row for row in rows if not work.workspace.has(example_name(str(row[KEY])))]
    stage = Stage(
        name="draw_example", work=work, reads=(KEY, NAME, "seed"), writes=(("source", ""),),
        workers=(1, workers), first_workers=workers, batch_size=4,
    )  # fmt: skip
    ledger = AttemptLedger(work.workspace, secrets.token_hex(4))
    if waiting:
        with Progress("examples", len(waiting), write=show) as progress:
            for row in execute(waiting, (stage,), ledger):
                if row[STATUS] == FAILED:
                    raise StageError(f"example {row[NAME]} cannot be drawn: {row[ERROR]}")
                progress.advance()
    ledger.close()
    for row in rows:
        yield PartExample.from_bytes(work.workspace.read(example_name(str(row[KEY]))))


def _rows(work: DrawExample, count: int) -> list[Row]:
    made_with = fingerprint(work.sources, work.variation, work.head)
    return [
        {KEY: content_key("part-example", seed, work.sources, work.variation, work.head, made_with),
         NAME: f"example-{seed:05d}", "seed": seed}
        for seed in range(count)
    ]  # fmt: skip
