"""A fixture of a Pub/Sub engine in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.pubsub import Local, serving


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    """An empty engine at noon on 1 January 2024, in memory."""
    async with serving() as local:
        yield local
