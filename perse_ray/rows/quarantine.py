"""Rows that failed, as the quarantine keeps them."""

from __future__ import annotations

from perse.data.tables import QuarantinedRow
from perse_ray.rows.stage import ATTEMPTS, ERROR, FAILED_STAGE, KEY, NAME, TRACEBACK, Row


def quarantined(row: Row) -> QuarantinedRow:
    """Record of a row whose status is FAILED."""
    return QuarantinedRow(
        key=str(row[KEY]), name=str(row[NAME]), stage=str(row[FAILED_STAGE]), error=str(row[ERROR]),
        traceback=str(row[TRACEBACK]), attempts=int(row[ATTEMPTS]),
    )  # fmt: skip
