"""Row works that behave, and some that do not. Importable by workers, so that they travel by name."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from perse_ray.stage import RowWork, Value


@dataclass(frozen=True)
class Square:
    """Squares `number` into `square`; rows named after a mishap suffer it.

    Attributes:
        journal: a file that every start of a row is appended to, so that tests can count.
    """

    journal: str

    def build(self) -> RowWork:
        return self._work

    def _work(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        with open(self.journal, "a") as stream:
            stream.write(f"{row['name']}\n")
        mishap = str(row["name"]).partition("-")[0]
        if mishap == "raise":
            raise RuntimeError("two\nlines")
        if mishap == "exit":
            os._exit(7)
        if mishap == "segfault":
            ctypes.string_at(0)
        if mishap == "hang":
            time.sleep(3600)
        number = row["number"]
        assert isinstance(number, int)
        return {"square": number * number}


@dataclass(frozen=True)
class Negate:
    """Negates `square` into `negative`."""

    def build(self) -> RowWork:
        return lambda row: {"negative": -int(row["square"])}


@dataclass(frozen=True)
class Homeless:
    """A work that cannot be built."""

    def build(self) -> RowWork:
        from perse.errors import MissingWeightsError

        raise MissingWeightsError("the model is not there; run `make models`")
