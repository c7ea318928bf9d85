"""Sign-in page on which a person with a browser gives a token, and the cookie that remembers it."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, quote, urlsplit

from perse_ray.serving.protection.asgi import Receive

COOKIE = "perse_token"
SIGN_IN = "/login"
HOME = "/view"
MAX_FORM_BYTES = 4096
DAYS = 30

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>PERSE: sign in</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 0;
         background: #16181c; color: #e8e6e3 }}
  form {{ display: grid; gap: .8rem; width: min(26rem, 90vw) }}
  input, button {{ font: inherit; padding: .6rem .8rem; border-radius: .4rem; border: 1px solid #555 }}
  button {{ background: #e8e6e3; color: #16181c; cursor: pointer }}
  p {{ margin: 0; color: #b9b5ae }}
</style>
<form method="post" action="{action}">
  <label for="token">Token of this service</label>
  <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
  <input name="next" type="hidden" value="{target}">
  <button>Sign in</button>
  <p>{message}</p>
</form>
</html>
"""

_OWN_PATH = re.compile(
    r"/(?:(?:view|studio)(?:/[A-Za-z0-9_.-]+)?|docs|metrics|v1/avatars(?:/[A-Za-z0-9_-]+){0,2})?", re.ASCII
)
"""The addresses of pages and of what they show."""

_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


def sign_in_page(target: str, *, failed: bool) -> tuple[bytes, *tuple[tuple[bytes, bytes], ...]]:
    """Body and headers of the page; `target` is where to go afterwards."""
    message = "This token is not known." if failed else "What started it printed one (perse serve, view, studio)."
    page = _PAGE.format(action=SIGN_IN, target=html.escape(target, quote=True), message=message)
    return (
        page.encode(),
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _POLICY),
        (b"cache-control", b"no-store"),
        (b"www-authenticate", b'Bearer realm="perse"'),
    )


async def read_form(receive: Receive) -> tuple[str, str]:
    """The token and the target of a sent page; empty where they are missing, too long or too many."""
    body = bytearray()
    more = True
    while more and len(body) <= MAX_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if more or len(body) > MAX_FORM_BYTES:
        return "", HOME
    try:
        fields = parse_qs(bytes(body).decode("utf-8", "replace"), max_num_fields=8)
    except ValueError:  # more fields than our page has
        return "", HOME
    return fields.get("token", [""])[0].strip(), fields.get("next", [HOME])[0]


def own_address(target: str) -> str:
    """Address to go to after signing in: one of this service in ASCII, whatever was asked for.

    What is checked is what is sent: unquoting, dropping or encoding something afterwards made ``/é/evil.example`` an
    address of somebody else's.
    """
    path, _, query = target.partition("?")
    if _OWN_PATH.fullmatch(path) is None:
        return HOME
    return path + (f"?{quote(query, safe='=&%+')}" if query else "")


def cookie_name(host: str) -> str:
    """The cookie's name on a host, ``name`` or ``name:port``: browsers do not keep the ports of a machine apart, and a
    viewer must not sign a service out."""
    try:
        port = urlsplit(f"//{host}").port
    except ValueError:
        port = None
    return f"{COOKIE}_{port}" if port else COOKIE


def cookie_header(token: str, host: str, *, secure: bool) -> tuple[bytes, bytes]:
    """Header of the cookie: out of reach for scripts, and not sent along with what other sites ask for."""
    # A token's characters are those of a cookie but for these; they are rare, and then the browser cannot sign in.
    safe = token if not set(token) & set('",;\\') else ""
    parts = [f"{cookie_name(host)}={safe}", "HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={DAYS * 86400}"]
    return b"set-cookie", "; ".join(parts + ["Secure"] * secure).encode("ascii", "ignore")
