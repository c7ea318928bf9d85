"""Common parts of commands that open a page on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perse_ray.serving.protection import Tokens


@dataclass(frozen=True, kw_only=True)
class LocalPage:
    """A page on the loopback interface."""

    open: bool = False
    """Open the page in the default browser."""

    insecure_no_auth: bool = False
    """Ask nobody for a token: any program and any person on this machine may use it."""

    def entrance(self, path: str) -> tuple[Tokens | None, Callable[[int], None]]:
        """Tokens that let in, None for anybody; and what says the page's address once its port is known."""
        import webbrowser

        from perse_ray.serving.local_viewer import LOOPBACK
        from perse_ray.serving.protection import Tokens, environment_tokens, new_token

        given, token = environment_tokens(), new_token()

        def say(port: int) -> None:
            ask = "" if given or self.insecure_no_auth else f"?token={token}"
            address = f"http://{LOOPBACK}:{port}/{path}{ask}"
            print(address, flush=True)
            if self.open:
                webbrowser.open(address)

        return None if self.insecure_no_auth else given or Tokens.of([token]), say
