"""Limits the console to this machine, to reading, and to its own scripts and styles."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The Host header of a page that another site resolves to this machine has the name of that site.
_LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LocalOnly:
    """Refuses requests to other hosts and requests that could change something; adds the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        app = self._app
        if not _LOCAL_HOST.fullmatch(host):
            app = PlainTextResponse("found another Host header, expected 127.0.0.1 or localhost\n", 421)
        elif scope["method"] not in ("GET", "HEAD"):
            text = f"found {scope['method']}, expected GET or HEAD: the console is read-only\n"
            app = PlainTextResponse(text, 405, {"Allow": "GET, HEAD"})
        await app(scope, receive, send_with_headers)
