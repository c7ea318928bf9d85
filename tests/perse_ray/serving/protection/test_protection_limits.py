"""Rates, room, time and size: what is too much is refused at once, the rest is left alone."""

from __future__ import annotations

import asyncio

import pytest
from asgi_harness import Answer, answered, ask, echo, greeting, http_scope, socket_scope
from hypothesis import given
from hypothesis import strategies as st

from perse.errors import PerseError
from perse_ray.serving.protection.admission import Admission, Lanes
from perse_ray.serving.protection.asgi import KEY, Receive, Scope, Send
from perse_ray.serving.protection.body_limit import BodyLimit
from perse_ray.serving.protection.rate_limit import Bucket, RateLimit
from perse_ray.serving.protection.request_deadline import Deadline
from perse_ray.serving.schema.deadline import current_deadline, remaining_s

RENDER = "/v1/avatars/me/render"

# Rates


def keyed(key: str, scope: Scope | None = None) -> Scope:
    return {**(scope or http_scope()), KEY: key}


def test_a_key_gets_its_burst_and_then_its_rate() -> None:
    now = [0.0]
    app = RateLimit(greeting, per_second=2, burst=3, clock=lambda: now[0])
    assert [ask(app, keyed("a")).status for _ in range(4)] == [200, 200, 200, 429]
    assert ask(app, keyed("b")).status == 200  # another key's drops are its own
    now[0] = 0.5
    assert [ask(app, keyed("a")).status for _ in range(2)] == [200, 429]
    refused = ask(app, keyed("a", socket_scope()))
    assert refused.status == 429 and refused.headers["retry-after"] == "1"
    assert ask(app, http_scope("/healthz")).status == 200  # nobody's


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.5, 20), st.integers(1, 10))
def test_no_more_than_burst_and_rate_allow_ever_passes(pauses: list[float], rate: float, burst: int) -> None:
    bucket, now, passed = Bucket(burst, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now, rate, burst)
        passed += wait == 0
        assert passed <= burst + rate * now + 1e-6
        if wait:  # it says truly when there is one again
            assert Bucket(bucket.drops, now).take(now + wait + 1e-6, rate, burst) == 0


# Room


class Door:
    """An application whose requests stay until they are let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        await self.open.wait()
        await greeting(scope, receive, send)


def test_what_does_not_fit_is_refused_and_the_rest_is_answered() -> None:
    async def scene() -> tuple[list[Answer], list[Answer], dict[str, int]]:
        door = Door()
        app = Admission(door, Lanes(pictures=1, media=1, streams=1, pages=1))
        waiting = [
            http_scope(RENDER, "POST"),
            http_scope("/v1/avatars/me/thumbnail"),
            http_scope("/v1/avatars/me/animate", "POST"),
            socket_scope(),
        ]
        inside = [asyncio.create_task(answered(app, scope)) for scope in waiting]
        while door.inside < 4:
            await asyncio.sleep(0)
        refused = [await answered(app, scope) for scope in waiting]
        assert door.inside == 4  # nothing of theirs was begun
        door.open.set()
        probe = await answered(app, http_scope("/healthz"))
        return [*await asyncio.gather(*inside), probe], refused, app.under_way

    accepted, refused, left = asyncio.run(scene())
    assert [answer.status for answer in refused] == [503] * 4
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert [answer.status for answer in accepted] == [200, 200, 200, None, 200]
    assert accepted[3].messages[0]["type"] == "websocket.accept"
    assert set(left.values()) == {0}


def test_room_is_given_back_when_something_breaks() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    app = Admission(broken, Lanes(pictures=1))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="broken"):
            ask(app, http_scope(RENDER, "POST"))
    assert app.under_way["pictures"] == 0


def test_probes_always_fit() -> None:
    app = Admission(greeting, Lanes(pictures=0, pages=0))
    assert ask(app, http_scope()).status == 503
    assert {ask(app, http_scope(path)).status for path in ("/healthz", "/readyz", "/metrics")} == {200}


def test_a_page_and_its_thumbnails_do_not_wait_for_pictures() -> None:
    app = Admission(greeting, Lanes(pictures=0))
    assert ask(app, http_scope(RENDER, "POST")).status == 503
    assert ask(app, http_scope("/v1/avatars/me/thumbnail")).status == 200


# Time


def test_what_takes_too_long_is_cancelled_and_answered() -> None:
    ended: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(scope["path"])

    app = Deadline(slow, pictures_s=0.01, media_s=3600, grace_s=0.01)
    answer = ask(app, http_scope(RENDER, "POST"))
    assert answer.status == 504 and b"0.01 seconds" in answer.body and ended == [RENDER]


def test_a_body_that_trickles_in_is_not_waited_for() -> None:
    app = Deadline(echo, pictures_s=0.01, media_s=1, grace_s=0.01)
    assert ask(app, http_scope(RENDER, "POST"), [b"{"], endless=True).status == 504


def test_the_application_knows_its_deadline_and_streams_have_none() -> None:
    left: list[float | None] = []

    async def curious(scope: Scope, receive: Receive, send: Send) -> None:
        left.append(remaining_s(current_deadline()))
        await greeting(scope, receive, send)

    app = Deadline(curious, pictures_s=10, media_s=100)
    for scope in (http_scope(RENDER), http_scope("/v1/avatars/me/export"), socket_scope()):
        ask(app, scope)
    assert left[0] is not None and 0 < left[0] <= 10 and left[1] is not None and 10 < left[1] <= 100
    assert left[2] is None and current_deadline() is None


def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def film(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"film"})

    answer = ask(Deadline(film, pictures_s=0.01, media_s=0.01, grace_s=0.01), http_scope())
    assert answer.status == 200 and answer.body == b"film"


def test_an_applications_own_timeout_stays_its_own() -> None:
    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        ask(Deadline(impatient, pictures_s=10, media_s=10), http_scope())


# Size


@given(st.lists(st.binary(max_size=8), max_size=12))
def test_bodies_pass_whole_or_not_at_all(chunks: list[bytes]) -> None:
    answer = ask(BodyLimit(echo, limit=20), http_scope(RENDER, "POST"), chunks)
    whole = b"".join(chunks)
    assert (answer.status, answer.body) == (200, whole) if len(whole) <= 20 else answer.status == 413


def test_a_body_is_refused_before_its_end() -> None:
    app = BodyLimit(echo, limit=20)
    assert ask(app, http_scope(RENDER, "POST"), [b"x" * 15] * 2, endless=True).status == 413


def test_what_a_header_announces_is_believed_if_it_is_too_much() -> None:
    app = BodyLimit(echo, limit=20)
    for length, status in (("21", 413), ("9" * 5000, 413), ("-1", 413), ("many", 413), ("3", 200)):
        assert ask(app, http_scope(RENDER, "POST", content_length=length), [b"abc"]).status == status


def test_an_application_that_swallows_errors_cannot_swallow_this_one() -> None:
    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except Exception as error:
            raise PerseError("something") from error

    answer = ask(BodyLimit(careless, limit=3), http_scope(RENDER, "POST"), [b"12345"])
    assert answer.status == 413
