"""Rate limit of each key: a token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from perse_ray.serving.protection.asgi import KEY, Application, Receive, Scope, Send, refuse, retry_after


@dataclass
class Bucket:
    """Token bucket: fills at a steady rate up to a limit; every request takes one token."""

    drops: float
    at_s: float

    def take(self, now_s: float, per_second: float, brim: float) -> float:
        """Take a token. Returns 0, or for how many seconds there will be none."""
        self.drops = min(brim, self.drops + (now_s - self.at_s) * per_second)
        self.at_s = now_s
        if self.drops < 1:
            return (1 - self.drops) / per_second
        self.drops -= 1
        return 0.0


class RateLimit:
    """Middleware that refuses with 429 what comes too fast. Opening a WebSocket is one request; what is said over it is
    not counted, since there the newest change wins. There are as many buckets as tokens.

    Args:
        app: what is protected.
        per_second: requests a key may make in the long run.
        burst: requests that a key may make at once.
        clock: seconds; tests bring their own.
    """

    def __init__(
        self, app: Application, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._per_second, self._burst, self._clock = app, per_second, burst, clock
        self._buckets: dict[str, Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = scope.get(KEY)
        if key is not None:
            now = self._clock()
            bucket = self._buckets.setdefault(key, Bucket(self._burst, now))
            wait_s = bucket.take(now, self._per_second, self._burst)
            if wait_s:
                detail = f"this key may ask {self._per_second:g} times a second; wait"
                await refuse(scope, receive, send, 429, detail, retry_after(wait_s))
                return
        await self._app(scope, receive, send)
