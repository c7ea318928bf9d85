"""Authentication by bearer tokens: nobody gets in without one, but probes.

Programs send ``Authorization: Bearer …``. Browsers cannot, for a page or a WebSocket: a person opens
``/view?token=…`` or signs in on the page that is shown instead, and a cookie that no script can read carries the token
from then on. A cookie is sent by the browser whoever asks it to, so a request that comes with one and may change
something (or is a WebSocket) must come from a page of this service.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlencode, urlsplit

from starlette.requests import HTTPConnection

from perse_ray.serving.protection.asgi import ALWAYS_OPEN, KEY, Application, Receive, Scope, Send, refuse, respond
from perse_ray.serving.protection.sign_in import (
    SIGN_IN,
    cookie_header,
    cookie_name,
    own_address,
    read_form,
    sign_in_page,
)
from perse_ray.serving.protection.tokens import Tokens

CHALLENGE = (b"www-authenticate", b'Bearer realm="perse"')
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Authentication:
    """Middleware that asks who is there.

    Args:
        app: what is protected.
        tokens: who is known. None switches authentication off; then only programs on this machine are answered, and
            only under its own names: a foreign page can make a browser come here under the page's name.
    """

    def __init__(self, app: Application, tokens: Tokens | None) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in ALWAYS_OPEN:
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        if self._tokens is None:
            if not _is_local(asked):
                await refuse(scope, receive, send, 403, "without tokens, only this machine is answered")
                return
            scope[KEY] = "anyone"
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == SIGN_IN:
            await self._sign_in(asked, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET" and "token" in asked.query_params:
            await self._exchange(asked, receive, send)
        else:
            await self._pass(asked, receive, send)

    async def _pass(self, asked: HTTPConnection, receive: Receive, send: Send) -> None:
        scope = asked.scope
        assert self._tokens is not None
        header = asked.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            owner = self._tokens.owner(token.strip()) if scheme.lower() == "bearer" else None
        else:
            owner = self._tokens.owner(asked.cookies.get(cookie_name(asked.headers.get("host", "")), ""))
            if owner is not None and _may_change(scope) and not _same_origin(asked):
                await refuse(scope, receive, send, 403, "another page's requests are not answered")
                return
        if owner is not None:
            scope[KEY] = owner
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET" and "text/html" in asked.headers.get("accept", ""):
            await respond(scope, send, 401, *sign_in_page(scope["path"], failed=False))
        else:
            await refuse(scope, receive, send, 401, "a bearer token is needed", CHALLENGE)

    async def _exchange(self, asked: HTTPConnection, receive: Receive, send: Send) -> None:
        """A token in the address becomes a cookie, and leaves the address."""
        assert self._tokens is not None
        token = asked.query_params["token"]
        rest = [(name, value) for name, value in asked.query_params.multi_items() if name != "token"]
        target = asked.scope["path"] + (f"?{urlencode(rest)}" if rest else "")
        if self._tokens.owner(token) is None:
            await refuse(asked.scope, receive, send, 401, "the token is not known", CHALLENGE)
        else:
            await _enter(asked, send, token, target)

    async def _sign_in(self, asked: HTTPConnection, receive: Receive, send: Send) -> None:
        assert self._tokens is not None
        token, target = await read_form(receive)
        if self._tokens.owner(token) is None:
            await respond(asked.scope, send, 401, *sign_in_page(target, failed=True))
        else:
            await _enter(asked, send, token, target)


async def _enter(asked: HTTPConnection, send: Send, token: str, target: str) -> None:
    secure = asked.scope.get("scheme") == "https" or asked.headers.get("x-forwarded-proto") == "https"
    await respond(
        asked.scope, send, 303, b"", (b"location", own_address(target).encode("ascii")),
        cookie_header(token, asked.headers.get("host", ""), secure=secure),
        (b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"),
    )  # fmt: skip


def _may_change(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")


def _same_origin(asked: HTTPConnection) -> bool:
    origin = asked.headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == asked.headers.get("host")
    except ValueError:  # no address at all
        return False


def _is_local(asked: HTTPConnection) -> bool:
    try:
        from_here = asked.client is not None and ipaddress.ip_address(asked.client.host).is_loopback
        name = urlsplit(f"//{asked.headers.get('host', '')}").hostname
    except ValueError:
        return False
    return from_here and name in LOCAL_NAMES and _same_origin(asked)
