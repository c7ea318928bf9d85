"""Small matrices on one thread: while a block lasts, in the threads that are in one, and never longer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from perse.tracking.one_thread import one_thread


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Libraries that use two threads, whatever the machine and its environment say."""
    before, before_blas = torch.get_num_threads(), max(blas())
    torch.set_num_threads(2)
    allow_blas(2)
    assert torch.get_num_threads() == 2 and blas() == {2}
    yield
    torch.set_num_threads(before)
    allow_blas(before_blas)


def allow_blas(threads: int) -> None:
    """From a thread that ends: the one that says it last decides alone while it lives."""
    teller = threading.Thread(target=lambda: threadpool_limits(limits=threads, user_api="blas"))
    teller.start()
    teller.join(10)


def blas() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_torch_and_blas_use_one_thread_and_two_again() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1 and blas() == {1}
        with one_thread():
            assert torch.get_num_threads() == 1 and blas() == {1}
        assert torch.get_num_threads() == 1 and blas() == {1}
    assert torch.get_num_threads() == 2 and blas() == {2}


def test_an_error_gives_the_threads_back() -> None:
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 2 and blas() == {2}


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_blocks_that_overlap_in_two_threads_end_in_any_order(first_leaves_first: bool) -> None:
    first, second = Inside(), Inside()
    first.enter()
    second.enter()
    assert blas() == {1} and torch.get_num_threads() == 2  # of this thread, which is in no block
    for thread in (first, second) if first_leaves_first else (second, first):
        thread.leave()
    assert first.torch == second.torch == 1 and blas() == {2}
    with one_thread():
        assert blas() == {1}  # nobody holds it any more


class Inside:
    """A thread that stays in a block until it is told to leave."""

    def __init__(self) -> None:
        self._in, self._out = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with one_thread():
            self.torch = torch.get_num_threads()
            self._in.set()
            self._out.wait(10)

    def enter(self) -> None:
        self._thread.start()
        assert self._in.wait(10)

    def leave(self) -> None:
        self._out.set()
        self._thread.join(10)


def test_a_thread_that_begins_during_a_block_is_not_held_to_it() -> None:
    seen: list[int] = []
    with one_thread():
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join(10)
    assert seen == [2]
