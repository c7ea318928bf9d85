"""Who gets in: programs with a header, people with a cookie, probes; nobody else."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from asgi_harness import answered, ask, greeting, http_scope, socket_scope

from perse_ray.serving.protection import Tokens
from perse_ray.serving.protection.asgi import KEY
from perse_ray.serving.protection.authentication import Authentication
from perse_ray.serving.protection.sign_in import cookie_name

TOKEN = "a-token-for-the-tests"
APP = Authentication(greeting, Tokens.of([TOKEN]))
OPEN = Authentication(greeting, None)
COOKIE = f"perse_token_8000={TOKEN}"


@pytest.mark.parametrize(
    "path", ["/v1/avatars", "/metrics", "/docs", "/openapi.json", "/view", "/", "/healthz/", "//healthz"]
)
def test_without_a_token_there_is_nothing(path: str) -> None:
    answer = ask(APP, http_scope(path))
    assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    assert b"hello" not in answer.body


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_none(path: str) -> None:
    assert ask(APP, http_scope(path)).status == 200


def test_a_bearer_token_opens_and_names_its_owner() -> None:
    scope = http_scope(authorization=f"Bearer {TOKEN}")
    assert ask(APP, scope).status == 200 and scope[KEY] == Tokens.of([TOKEN]).owner(TOKEN)
    assert ask(APP, http_scope(authorization=f"bearer  {TOKEN}")).status == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
def test_other_headers_do_not(header: str) -> None:
    assert ask(APP, http_scope(authorization=header)).status == 401
    assert ask(APP, http_scope(authorization=header, cookie=COOKIE)).status == 401  # a header is not second-guessed


def test_a_websocket_needs_one_too() -> None:
    assert ask(APP, socket_scope(authorization=f"Bearer {TOKEN}")).messages[0]["type"] == "websocket.accept"
    assert ask(APP, socket_scope()).status == 401
    (closed,) = ask(APP, socket_scope(denial=False)).messages
    assert closed["type"] == "websocket.close" and closed["code"] == 1008


# Browsers


def test_a_token_in_the_address_becomes_a_cookie_that_opens() -> None:
    answer = ask(APP, http_scope("/view", query=f"avatar=me&token={quote(TOKEN)}"))
    assert answer.status == 303 and answer.headers["location"] == "/view?avatar=me"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert ask(APP, http_scope("/view", cookie=cookie.split(";")[0])).status == 200
    assert ask(APP, http_scope("/view", query="token=wrong")).status == 401
    behind = http_scope("/view", query=f"token={TOKEN}", x_forwarded_proto="https")
    assert "Secure" in ask(APP, behind).headers["set-cookie"]


def test_a_person_without_one_is_asked_and_gets_where_they_wanted() -> None:
    page = ask(APP, http_scope('/view/"><script>', accept="text/html,*/*"))
    assert page.status == 401 and b"<form" in page.body and b'"><script>' not in page.body
    form = f"token={TOKEN}&next=%2Fview%3Favatar%3Dme".encode()
    answer = ask(APP, http_scope("/login", "POST"), [form[:5], form[5:]])
    assert (
        answer.status == 303
        and answer.headers["location"] == "/view?avatar=me"
        and TOKEN in answer.headers["set-cookie"]
    )
    wrong = ask(APP, http_scope("/login", "POST"), [b"token=wrong&next=/view"])
    assert wrong.status == 401 and b"not known" in wrong.body and "set-cookie" not in wrong.headers
    assert ask(APP, http_scope("/login", "POST"), [b"x" * 10_000]).status == 401
    assert ask(APP, http_scope("/login", "POST"), [b"&".join([b"a=1"] * 100)]).status == 401, "many fields"


@pytest.mark.parametrize("target", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "view"])
def test_signing_in_leads_nowhere_else(target: str) -> None:
    answer = ask(APP, http_scope("/login", "POST"), [f"token={TOKEN}&next={quote(target)}".encode()])
    assert answer.headers["location"] == "/view"


def test_a_foreign_page_cannot_use_the_cookie() -> None:
    foreign, own = "https://elsewhere.example", "http://localhost:8000"
    assert ask(APP, http_scope(method="POST", cookie=COOKIE, origin=foreign)).status == 403
    assert ask(APP, http_scope(method="POST", cookie=COOKIE, origin="http://localhost:3000")).status == 403
    assert ask(APP, http_scope(method="POST", cookie=COOKIE, origin=own)).status == 200
    assert ask(APP, socket_scope(cookie=COOKIE, origin=foreign)).status == 403
    assert ask(APP, socket_scope(cookie=COOKIE, origin=own)).messages[0]["type"] == "websocket.accept"


# Without authentication


def test_switched_off_it_answers_this_machine_alone() -> None:
    assert ask(OPEN, http_scope()).status == 200 and ask(OPEN, http_scope(client="::1")).status == 200
    assert ask(OPEN, http_scope(client="192.0.2.7")).status == 403
    assert ask(OPEN, http_scope(host="evil.example")).status == 403  # a name that was made to point here
    assert ask(OPEN, http_scope(method="POST", origin="https://evil.example")).status == 403
    assert ask(OPEN, {**http_scope(), "client": None}).status == 403
    assert ask(OPEN, socket_scope()).messages[0]["type"] == "websocket.accept"
    assert ask(OPEN, socket_scope(origin="https://evil.example")).status == 403


def test_the_servers_own_messages_pass() -> None:
    import asyncio

    seen = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        seen.append(scope["type"])

    asyncio.run(answered(Authentication(app, Tokens.of([TOKEN])), {"type": "lifespan"}))
    assert seen == ["lifespan"]


def test_services_on_other_ports_have_other_cookies() -> None:
    other = {"cookie": COOKIE, "host": "localhost:9000"}
    assert ask(APP, http_scope(**other)).status == 401
    assert cookie_name("localhost") == cookie_name("localhost:x") == "perse_token"
