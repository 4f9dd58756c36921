"""Requests that change something: only a console started with `--allow-changes` serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]


def are_allowed(request: Request) -> bool:
    """Return whether the console of a request may change something."""
    allowed: bool = request.app.state.allow_changes
    return allowed


def change(handler: Handler) -> Handler:
    """Return the handler of a change; it answers 403 where changes aren't allowed."""

    async def checked(request: Request) -> Response:
        if not are_allowed(request):
            raise HTTPException(403, "the console is read-only, expected it started with --allow-changes")
        return await handler(request)

    return checked
