"""Ledger of attempts: who was started, written before the work.

Ray Data repeats a row that kills its worker for ever. A row that was started several times and never finished is
recognised here, by the next worker that meets it, before it is started once more.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass

from perse.data.workspace import Workspace


@dataclass(frozen=True)
class AttemptLedger:
    """Ledger of starts that have not finished, one small file each, below ``quarantine/attempts/<run>``.

    Attributes:
        workspace: where.
        run: a name for this execution. Attempts of earlier runs do not count: whoever interrupts a run three times
            must not send innocent rows to quarantine.
    """

    workspace: Workspace
    run: str

    def start(self, stage: str, key: str) -> int:
        """Number of earlier starts that never finished, after noting this one."""
        folder = self._folder(stage, key)
        earlier = len(self.workspace.names(folder))
        note = json.dumps({"pid": os.getpid()}).encode()
        self.workspace.write(f"{folder}/{secrets.token_hex(4)}", note)
        return earlier

    def finish(self, stage: str, key: str) -> None:
        """Note that the work came to an end, good or bad, and this process is alive."""
        self.workspace.remove(self._folder(stage, key))

    def close(self) -> None:
        """Forget this run's starts."""
        self.workspace.remove(f"quarantine/attempts/{self.run}")

    def _folder(self, stage: str, key: str) -> str:
        return f"quarantine/attempts/{self.run}/{stage}/{key}"


def new_ledger(workspace: Workspace) -> AttemptLedger:
    """The ledger of a new execution."""
    return AttemptLedger(workspace, secrets.token_hex(4))
