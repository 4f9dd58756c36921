"""An embedded Bigtable emulator without tables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.bigtable_emulator import Clients, connecting, serving


@pytest.fixture(scope="session")
async def address() -> AsyncIterator[str]:
    """The address of an emulator whose data is in memory."""
    async with serving() as bound:
        yield bound


@pytest.fixture
async def clients(address: str) -> AsyncIterator[Clients]:
    """Google's clients of an instance without tables."""
    async with connecting(address) as connected:
        yield connected
