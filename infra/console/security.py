"""Limits the console to this machine, to forms of its own pages, and to its own scripts and styles."""

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
    # "no-referrer" would replace the Origin header of the forms by "null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


# The largest file that a form takes: the largest Pub/Sub message several times.
MAX_FORM_BYTES = 32 * 1024 * 1024


class LocalOnly:
    """Refuses requests to other hosts and forms of other sites; adds the security headers."""

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

        refusal = _refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)


def _refusal(method: str, headers: Headers) -> PlainTextResponse | None:
    """Return the response to a request that isn't served, or None."""
    host = headers.get("host", "")
    if not _LOCAL_HOST.fullmatch(host):
        return PlainTextResponse("found another Host header, expected 127.0.0.1 or localhost\n", 421)
    if method in ("GET", "HEAD"):
        return None
    if method != "POST":
        return PlainTextResponse(f"found {method}, expected GET, HEAD or POST\n", 405, {"Allow": "GET, HEAD, POST"})
    if headers.get("sec-fetch-site", "same-origin") != "same-origin" or headers.get("origin") != f"http://{host}":
        return PlainTextResponse("found a form of another site, expected one of a page of the console\n", 403)
    size = headers.get("content-length", "")
    if not size.isdecimal():
        return PlainTextResponse("found no Content-Length, expected it\n", 411)
    if len(size) > 9 or int(size) > MAX_FORM_BYTES:
        return PlainTextResponse(f"found {size[:20]} bytes, expected at most {MAX_FORM_BYTES:,}\n", 413)
    return None
