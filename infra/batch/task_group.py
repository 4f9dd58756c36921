"""A task group whose first error comes out as itself, so that a command can tell it to a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def concurrently() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks side by side; when one fails the others are cancelled and its error is raised, not a group of one."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
