"""Tables of metrics as they are printed: a number, or why there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from html import escape

from perse.errors import MissingWeightsError


@dataclass(frozen=True)
class Metric:
    """Cell of a table of metrics.

    Attributes:
        value: None where it could not be measured; nan where there was nothing to measure.
        missing: why there is no value; empty where there is one.
        low, high: 95 % interval of the value; None where there is none.
    """

    value: float | None
    missing: str = ""
    low: float | None = None
    high: float | None = None

    def shown(self, digits: int = 4) -> str:
        if self.value is None:
            return "no weights"
        if math.isnan(self.value):
            return "–"
        kind = "e" if 0 < abs(self.value) < 10.0 ** (1 - digits) else "f"  # what would be mostly zeros
        digits = 1 if kind == "e" else digits
        span = "" if self.low is None else f" ({self.low:.{digits}{kind}}–{self.high:.{digits}{kind}})"
        return f"{self.value:.{digits}{kind}}{span}"


def measured(measure: Callable[[], float]) -> Metric:
    """Value of a metric, or that its weights are not there. No other error is caught."""
    try:
        return Metric(measure())
    except MissingWeightsError as error:
        return Metric(None, " ".join(str(error).split()))


@dataclass(frozen=True)
class MetricTable:
    """Table of metrics: rows of methods or subjects, all with the same columns."""

    title: str
    rows: Mapping[str, Mapping[str, Metric]]

    def __post_init__(self) -> None:
        columns = {tuple(row) for row in self.rows.values()}
        if len(columns) != 1:
            raise ValueError("all rows of a table have the same columns, and there is one row at least")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(next(iter(self.rows.values())))

    def markdown(self) -> str:
        """Table in Markdown, and below it one line for each metric without weights."""
        lines = [f"**{self.title}**", "", f"| | {' | '.join(self.columns)} |", "|---" * (len(self.columns) + 1) + "|"]
        for name, row in self.rows.items():
            lines.append(f"| {name} | {' | '.join(row[column].shown() for column in self.columns)} |")
        reasons = {c: cell.missing for row in self.rows.values() for c, cell in row.items() if cell.missing}
        return "\n".join([*lines, *([""] if reasons else []), *(f"{c}: {why}" for c, why in reasons.items())])

    def html(self) -> str:
        """Table as a page."""
        heads = "".join(f"<th>{escape(column)}</th>" for column in ("", *self.columns))
        lines = [
            f"<tr><td>{escape(name)}</td>{''.join(f'<td>{escape(row[c].shown())}</td>' for c in self.columns)}</tr>"
            for name, row in self.rows.items()
        ]
        reasons = {c: cell.missing for row in self.rows.values() for c, cell in row.items() if cell.missing}
        notes = "".join(f"<p>{escape(column)}: {escape(why)}</p>" for column, why in reasons.items())
        return (
            f"<!doctype html><meta charset=utf-8><title>{escape(self.title)}</title><style>body{{font:15px sans-serif;"
            f"margin:2em}}td,th{{padding:.3em .8em;text-align:left}}tr+tr{{border-top:1px solid #ccc}}table{{"
            f"border-collapse:collapse}}</style><h1>{escape(self.title)}</h1><table><tr>{heads}</tr>{''.join(lines)}"
            f"</table>{notes}\n"
        )

    def json(self) -> str:
        """Table for programs: null where there is no number."""
        rows = {name: {c: _plain(cell) for c, cell in row.items()} for name, row in self.rows.items()}
        return json.dumps({"title": self.title, "rows": rows}, indent=1, ensure_ascii=False)


def _plain(cell: Metric) -> dict[str, object]:
    values = asdict(cell)
    return {**values, "value": None if cell.value is None or math.isnan(cell.value) else cell.value}
