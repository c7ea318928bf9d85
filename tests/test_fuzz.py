"""Every parser of strangers' bytes, with a few hundred changed inputs; `benchmarks.fuzz` does it for hours."""

from __future__ import annotations

import random

import pytest

import benchmarks.fuzz
from benchmarks.fuzz import Reached, fuzz, mutated
from benchmarks.fuzz_targets import TARGETS, Target

FEW = {"provenance": 60, "checkpoint": 200}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_gets_past_the_expected_errors(name: str) -> None:
    found = fuzz(name, TARGETS[name], 60, seed=3, most=FEW.get(name, 400))
    assert not found.crashes
    assert found.accepted, "its good inputs are good"


def first() -> None:
    pass


def second() -> None:
    pass


def third() -> None:
    pass


DEEPER = (first, second, third)


def test_what_crashes_is_found_and_lines_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who keeps inputs that reach new lines gets through three comparisons."""

    def fragile(data: bytes) -> None:
        for place, letter in enumerate(b"abc"):
            if data[place : place + 1] != bytes([letter]):
                raise ValueError
            DEEPER[place]()
        raise IndexError("deep inside")

    target = Target(fragile, lambda: [b"xxxx"], (b"a", b"b", b"c"), (ValueError,))
    monkeypatch.setattr(benchmarks.fuzz, "GUIDED", ("no file",))
    assert fuzz("fragile", target, 60, seed=0, most=3000).crashes == {}
    monkeypatch.setattr(benchmarks.fuzz, "GUIDED", (__file__,))
    (kind,) = fuzz("fragile", target, 60, seed=0, most=3000).crashes
    assert kind.startswith("IndexError in test_fuzz.py") and "deep inside" in kind


def test_lines_are_counted_once() -> None:
    reached = Reached()
    for expected in (True, False):
        with reached:
            TARGETS["motion"].parse(TARGETS["motion"].seeds()[0])
        assert reached.take() is expected


def test_mutations_are_the_seeds() -> None:
    one, other = ([mutated(random.Random(5), [b"some bytes"], (b"word",)) for _ in range(3)] for _ in range(2))
    assert one == other
