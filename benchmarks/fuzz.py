"""Fuzzing of every parser of strangers' bytes, guided by the lines that an input reaches.

    python -m benchmarks.fuzz --minutes 5
    python -m benchmarks.fuzz --minutes 60 --target portrait

Each parser runs in a process of its own, so that one that takes the interpreter down is found as well. An input that
reaches new lines is kept and changed further. What crashes, hangs or asks for much memory is written to --out.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks.fuzz_targets import TARGETS, Target

TRACED_EVERY = 4
"""One input in so many is watched line by line, which takes five times as long."""
SLOW_S = 5.0
"""An input of a few kilobytes that takes longer is a fault as well."""
MAX_INPUT_BYTES = 200_000
GUIDED = ("/perse/", "/perse_ray/", "/zipfile", "/csv.py", "/json/", "/pickletools.py", "/PIL/", "/numpy/lib/")
"""Files whose lines guide; a tracer for everything would be slow."""


@dataclass
class FuzzOutcome:
    """What one parser's run came to."""

    target: str
    inputs: int = 0
    accepted: int = 0
    reached: int = 0
    seconds: float = 0.0
    memory_mib: float = 0.0
    """By how much the process grew, imports included."""
    crashes: dict[str, bytes] = field(default_factory=dict)
    """A line of each kind of crash, and the first input that led there."""


def fuzz(
    name: str, target: Target, seconds: float, seed: int, *, most: int = sys.maxsize, note: Path | None = None
) -> FuzzOutcome:
    """Feed a parser for so long, or with so many inputs.

    Args:
        note: file that always holds the input under way; what is left in it took the process down.
    """
    warnings.simplefilter("ignore")
    generator, found = random.Random(seed), FuzzOutcome(name)
    corpus, reached = target.seeds(), Reached()
    begun, before_mib = time.monotonic(), peak_mib()
    while found.inputs < most and time.monotonic() - begun < seconds:
        fresh = corpus[found.inputs] if found.inputs < len(corpus) else mutated(generator, corpus, target.words)
        if note is not None:
            note.write_bytes(fresh)
        found.inputs += 1
        started = time.monotonic()
        try:
            with reached if found.inputs % TRACED_EVERY == 1 or found.inputs <= len(corpus) else nullcontext():
                target.parse(fresh)
            found.accepted += 1
        except target.expected:
            pass
        except BaseException as error:  # the very thing that is looked for
            found.crashes.setdefault(_kind(error), fresh)
        if time.monotonic() - started > SLOW_S:
            found.crashes.setdefault(f"slower than {SLOW_S:g} s", fresh)
        if reached.take() and len(fresh) < MAX_INPUT_BYTES:
            corpus.append(fresh)
    found.reached, found.seconds = len(reached.lines), time.monotonic() - begun
    found.memory_mib = peak_mib() - before_mib
    return found


def peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Reached:
    """The lines that inputs have reached; inside its block lines are noted."""

    def __init__(self) -> None:
        self.lines: set[tuple[CodeType, int]] = set()
        self._is_new = False
        self._wanted: dict[str, bool] = {}

    def take(self) -> bool:
        """Whether there were new ones since it was asked last."""
        new, self._is_new = self._is_new, False
        return new

    def __enter__(self) -> None:
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in self._wanted:
            self._wanted[file] = any(part in file for part in GUIDED)
        return self._line if self._wanted[file] else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        place = (frame.f_code, frame.f_lineno)
        if place not in self.lines:
            self.lines.add(place)
            self._is_new = True
        return self._line


def mutated(generator: random.Random, corpus: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """A known input with a few changes: bits, bytes, words, pieces moved, doubled, dropped or taken from another."""
    data = bytearray(generator.choice(corpus))
    for _ in range(generator.choice((1, 1, 2, 3, 5, 8))):
        at = generator.randrange(len(data) + 1)
        length = min(generator.choice((1, 2, 4, 8, 30, 300)), len(data) - at)
        choice = generator.randrange(8)
        if choice == 0 and at < len(data):
            data[at] ^= 1 << generator.randrange(8)
        elif choice == 1 and at < len(data):
            data[at] = generator.randrange(256)
        elif choice == 2 and words:
            word = generator.choice(words)
            data[at : at + (len(word) if generator.random() < 0.5 else 0)] = word
        elif choice == 3:
            del data[at : at + length]
        elif choice == 4:
            data[at:at] = data[at : at + length] * generator.choice((1, 2, 50))
        elif choice == 5:
            other = generator.choice(corpus)
            start = generator.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + length]
        elif choice == 6:
            del data[at:]
        else:
            data[at:at] = generator.randbytes(length)
    return bytes(data[:MAX_INPUT_BYTES])


def _kind(error: BaseException) -> str:
    """What it is and where it was raised; one crash a line of code."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {str(error)[:80]!a}"


def in_a_process(name: str, seconds: float, seed: int, out: Path) -> FuzzOutcome:
    """`fuzz` where a crash of the interpreter is survived."""
    context = multiprocessing.get_context("spawn")
    out.mkdir(parents=True, exist_ok=True)
    ours, theirs = context.Pipe(duplex=False)
    note = out / f"{name.replace(' ', '-')}.under-way"
    worker = context.Process(target=_work, args=(name, seconds, seed, note, theirs))
    worker.start()
    theirs.close()
    try:
        found: FuzzOutcome = ours.recv()
    except EOFError:
        worker.join()
        found = FuzzOutcome(name, crashes={f"the process ended with code {worker.exitcode}": note.read_bytes()})
    worker.join()
    note.unlink(missing_ok=True)
    return found


def _work(name: str, seconds: float, seed: int, note: Path, answer: Any) -> None:
    answer.send(fuzz(name, TARGETS[name], seconds, seed, note=note))


def runs(names: list[str], minutes: float, seed: int, out: Path) -> Iterator[FuzzOutcome]:
    """Every parser for its share of the time, one after another."""
    for name in names:
        yield in_a_process(name, 60 * minutes / len(names), seed, out)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--minutes", type=float, default=5.0, help="for all parsers together")
    options.add_argument("--target", choices=sorted(TARGETS), action="append", help="only this parser")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="folder for inputs that crash")
    chosen = options.parse_args()
    total = crashes = 0
    print(f"{'parser':18} {'inputs':>9} {'accepted':>9} {'lines':>6} {'a second':>9} {'grew MiB':>9}  crashes")
    for found in runs(chosen.target or list(TARGETS), chosen.minutes, chosen.seed, chosen.out):
        rate = found.inputs / max(found.seconds, 1e-9)
        counts = f"{found.inputs:9,} {found.accepted:9,} {found.reached:6} {rate:9.0f} {found.memory_mib:9.0f}"
        print(f"{found.target:18} {counts}  {len(found.crashes)}", flush=True)
        for kind, data in found.crashes.items():
            file = chosen.out / f"{hashlib.sha256(data).hexdigest()[:12]}.bin"
            file.write_bytes(data)
            print(f"  {kind}\n    {file}", flush=True)
        total, crashes = total + found.inputs, crashes + len(found.crashes)
    print(f"{total:,} inputs, {crashes} crashes")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
