"""The layout of the row keys and columns of events, which the first contract sets in the table `state`."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from shared.bigtable.client import STATE, Bigtable
from shared.bigtable.mutations import Mutations
from shared.contracts.model import Contract
from shared.errors import LayoutChangedError, StoreUnavailableError
from shared.tables.state import FAMILY

_ROW, _QUALIFIER = b"contract", b"places"

# Seconds before each further read of a layout that was just written. With multi-cluster routing the read may go to
# another cluster than the write.
_READ_DELAYS = (0.0, 0.1, 0.3, 1.0, 3.0)


class Layout:
    """The stored layout of an instance.

    Attributes:
        verified: whether `verify` has succeeded.
    """

    def __init__(self, bigtable: Bigtable) -> None:
        """Prepare without any call."""
        self._bigtable = bigtable
        self._verification: asyncio.Task[None] | None = None
        self.verified = False

    async def verify(self, contract: Contract) -> None:
        """Verify that the contract gives events the same cell keys as the tables; the first contract sets the layout.

        Concurrent callers share one verification. During an outage each would otherwise wait for the one before.

        Raises:
            LayoutChangedError: the contract would store events under other cell keys.
            StoreUnavailableError: the layout was written and can't be read yet.
        """
        if self._verification is None or self._verification.done():
            self._verification = asyncio.get_running_loop().create_task(self._verify(contract))
        await asyncio.shield(self._verification)
        self.verified = True

    async def check(self, contract: Contract) -> None:
        """Raise LayoutChangedError like `verify`, without setting the layout of tables that have none."""
        stored = await self._stored()
        if stored is not None:
            _require(contract, stored)

    async def _verify(self, contract: Contract) -> None:
        stored = await self._stored()
        if stored is None:
            mutations = Mutations()
            mutations.set_cell(_ROW, FAMILY, _QUALIFIER, 0, _layout_of(contract))
            await self._bigtable.write(STATE, mutations)
            stored = await self._written()  # of two concurrent first contracts, the later write wins for both
        _require(contract, stored)

    async def _written(self) -> bytes:
        for delay in _READ_DELAYS:
            await asyncio.sleep(delay)
            if (stored := await self._stored()) is not None:
                return stored
        raise StoreUnavailableError("table state: the layout was written and can't be read yet")

    async def _stored(self) -> bytes | None:
        row: Any = await self._bigtable.row(STATE, _ROW)
        return row.cells[0].value if row else None


def _layout_of(contract: Contract) -> bytes:
    return msgspec.json.encode(contract.fingerprint(), order="deterministic")


def _require(contract: Contract, stored: bytes) -> None:
    """Raise LayoutChangedError unless the contract has the stored layout."""
    wanted = _layout_of(contract)
    if stored != wanted:
        raise LayoutChangedError(
            f"{contract.path}: this contract changes the row keys or columns of events, so an event that is "
            "published again would be stored twice. "
            f"Found {wanted.decode()}, expected {stored.decode()}. "
            "Use the earlier id, user, time and bucket, or another Bigtable instance for the new ones."
        )
