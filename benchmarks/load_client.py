"""A client that asks as fast as it is told to, and notes what comes back. Over aiohttp, which costs the cores that it
shares with the service a third of what httpx does."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

STEPS = 97
"""Different poses before the first one comes again."""


@dataclass(frozen=True)
class Asked:
    """One request: when it began, how long it took, what it was answered with (0: not at all)."""

    at_s: float
    took_s: float
    status: int


def poses(joint: str, size_px: int, image: str) -> Iterator[dict[str, Any]]:
    """Bodies of render requests: a head that turns, never the same picture twice in a row."""
    for step in itertools.cycle(range(STEPS)):
        turn = 0.6 * math.sin(2 * math.pi * step / STEPS)
        yield {"pose": {joint: [0.1 * turn, turn, 0.0]}, "width": size_px, "height": size_px, "format": image}


class LoadClient:
    """Connections to one service. Use it as an asynchronous context manager.

    Args:
        address: of the service.
        token: sent with every request.
    """

    def __init__(self, address: str, token: str) -> None:
        self._address, self._headers = address, {"Authorization": f"Bearer {token}"}

    async def __aenter__(self) -> LoadClient:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=60)
        self._session = aiohttp.ClientSession(
            self._address, headers=self._headers, connector=connector, timeout=timeout
        )  # fmt: skip
        return self

    async def __aexit__(self, *about: object) -> None:
        await self._session.close()

    async def ask(self, avatar: str, body: dict[str, Any]) -> Asked:
        """One picture."""
        start = time.perf_counter()
        try:
            async with self._session.post(f"/v1/avatars/{avatar}/render", json=body) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        return Asked(start, time.perf_counter() - start, status)


async def one_by_one(ask: Callable[[], Awaitable[Asked]], count: int) -> list[Asked]:
    """Ask again when the answer is there."""
    return [await ask() for _ in range(count)]


async def so_many_at_once(ask: Callable[[], Awaitable[Asked]], clients: int, seconds: float) -> list[Asked]:
    """Several clients, each of which asks again when its answer is there."""
    end = time.perf_counter() + seconds
    found: list[Asked] = []

    async def client() -> None:
        while time.perf_counter() < end:
            found.append(await ask())

    await asyncio.gather(*(client() for _ in range(clients)))
    return found


async def at_rate(ask: Callable[[], Awaitable[Asked]], per_second: float, seconds: float) -> list[Asked]:
    """Ask at an even rate, whether or not there are answers, as a crowd does."""
    start = time.perf_counter()
    under_way = []
    for number in range(round(per_second * seconds)):
        await asyncio.sleep(max(0.0, start + number / per_second - time.perf_counter()))
        under_way.append(asyncio.ensure_future(ask()))
    return list(await asyncio.gather(*under_way))


def percentile_ms(asked: Sequence[Asked], percent: float) -> float:
    """Of the time that answers took; NaN without any."""
    if not asked:
        return math.nan
    ordered = sorted(one.took_s for one in asked)
    return 1000 * ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)]


def rate(asked: Sequence[Asked]) -> float:
    """Answers a second, from the first question to the last answer."""
    if not asked:
        return 0.0
    return len(asked) / (max(one.at_s + one.took_s for one in asked) - min(one.at_s for one in asked))


def statuses(asked: Sequence[Asked]) -> str:
    """How often which answer was given."""
    return ", ".join(
        f"{status or 'none'}: {count}" for status, count in sorted(Counter(a.status for a in asked).items())
    )
