"""Filter of what Ray Serve's proxies answer by themselves: ``/-/routes`` lists what there is, to anybody."""

from __future__ import annotations

from perse_ray.serving.protection.asgi import Application, Receive, Scope, Send, refuse

OF_THE_PROXY = "/-/"
PROBE = "/-/healthz"
"""What load balancers ask; it says nothing but that it is there."""


class OwnRoutesOnly:
    """Middleware that answers 404 to the proxy's own addresses, but for its probe."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(OF_THE_PROXY) and path != PROBE:
            await refuse(scope, receive, send, 404, "there is nothing here")
            return
        await self._app(scope, receive, send)
