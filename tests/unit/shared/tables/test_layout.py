"""The layout of a first contract, read from a cluster that receives the write later."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.bigtable.mutations import Mutations
from shared.bigtable.row_merger import Row
from shared.contracts.model import Contract
from shared.errors import LayoutChangedError, StoreUnavailableError
from shared.tables import layout
from shared.tables.layout import Layout
from tests.support.small_messages import HEAD, small_contract

FIRST = small_contract()
OTHER = small_contract(head=HEAD + 'bucket = "hour"\n')


class LaggingBigtable:
    """Has the row of the layout; a write becomes readable after some reads."""

    def __init__(self, stored: Contract | None, lag: int) -> None:
        self.stored, self.lag = stored, lag
        self.reads = self.writes = 0

    async def write(self, _table: str, _mutations: Mutations) -> None:
        self.writes += 1

    async def row(self, _table: str, key: bytes) -> Row | None:
        self.reads += 1
        if self.reads <= self.lag or self.stored is None:
            return None
        value = msgspec.json.encode(self.stored.fingerprint(), order="deterministic")
        return Row(key, ["s"], [b"places"], [0], [value], [()])


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_READ_DELAYS", (0.0,) * len(layout._READ_DELAYS))


@pytest.mark.parametrize("lag", [1, 2, 4])
async def test_a_written_layout_that_is_not_readable_yet_is_read_again(lag: int) -> None:
    bigtable: Any = LaggingBigtable(FIRST, lag)
    stored = Layout(bigtable)

    await stored.verify(FIRST)

    assert (stored.verified, bigtable.writes, bigtable.reads) == (True, 1, lag + 1)


async def test_another_layout_is_refused_at_once() -> None:
    bigtable: Any = LaggingBigtable(FIRST, 2)

    with pytest.raises(LayoutChangedError):
        await Layout(bigtable).verify(OTHER)

    assert bigtable.reads == 3


async def test_a_layout_that_stays_absent_is_no_changed_layout() -> None:
    bigtable: Any = LaggingBigtable(None, 0)
    stored = Layout(bigtable)

    with pytest.raises(StoreUnavailableError, match="the layout was written and can't be read yet"):
        await stored.verify(FIRST)

    assert (stored.verified, bigtable.reads) == (False, 1 + len(layout._READ_DELAYS))
