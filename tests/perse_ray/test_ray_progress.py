"""Progress tells the truth about what is left."""

from __future__ import annotations

from perse_ray.runtime.progress import Progress, progress_of_steps, readable_s


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_few_and_the_last_is_always_there() -> None:
    lines: list[str] = []
    clock = Clock()
    with Progress("edits", 100, write=lines.append, clock=clock) as progress:
        for _ in range(100):
            clock.now += 0.5
            progress.advance(note="2 rejected")
    assert lines[0] == "edits: 1/100 (2 rejected)"
    assert lines[1] == "edits: 21/100, 40 s to go (2 rejected)"
    assert lines[-1] == "edits: 100/100 (2 rejected)"
    assert 5 <= len(lines) <= 8


def test_a_slow_start_says_nothing_about_the_rest() -> None:
    """Kernels are compiled in a training's first step: 2,400 steps of it were "37:35 h to go"."""
    clock = Clock()
    progress = Progress("x", 2400, write=lambda _: None, clock=clock)
    assert progress.eta_s is None
    clock.now = 56.0
    progress.advance()
    assert progress.eta_s is None
    clock.now = 66.0
    progress.advance(200)
    assert progress.eta_s == 10 * 2199 / 200
    progress.expect(100)
    assert progress.eta_s == 10 * 2299 / 200


def test_the_pace_is_that_of_the_last_minute() -> None:
    clock = Clock()
    progress = Progress("x", 1000, write=lambda _: None, clock=clock)
    for _ in range(10):
        clock.now += 100
        progress.advance()
    assert progress.eta_s == 100 * 990, "items of more than a minute have a pace too"
    for _ in range(90):
        clock.now += 1
        progress.advance()
    assert progress.eta_s == 900


def test_an_interrupted_run_says_how_far_it_came() -> None:
    lines: list[str] = []
    clock = Clock()
    with Progress("x", 10, write=lines.append, clock=clock) as progress:
        progress.advance()
        clock.now = 1.0
        progress.advance(2)
    assert lines[-1].startswith("x: 3/10")


def test_durations_read_well() -> None:
    assert [readable_s(s) for s in (0.4, 59.4, 90, 3600 + 120)] == ["0 s", "59 s", "1:30 min", "1:02 h"]


def test_a_step_that_begins_ends_the_one_before() -> None:
    lines: list[str] = []
    with progress_of_steps(lines.append) as started:
        for name, total, done in (("find", 2, 2), ("fit", 3, 1)):
            advance = started(name, total)
            for _ in range(done):
                advance()
    assert lines[-1].startswith("fit: 1/3"), "what is left undone is said at the end"
    assert any(line.startswith("find: 2/2") for line in lines)
