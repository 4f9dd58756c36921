"""Events become entries: the last of several events with a cell key wins, whatever order entries are applied in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from google.cloud.bigtable_v2.types import MutateRowsRequest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.bigtable.mutations import Entry, Mutations
from shared.tables.events import EventsTable
from shared.validation.results import Accepted, AcceptedColumns, Finding

FINDING = Finding("range", "duration", "-1", "at least 0", "warn")


class FakeBigtable:
    """Applies the last entry first, and the mutations of each in their order."""

    def __init__(self) -> None:
        self.cells: dict[tuple[bytes, str, bytes], bytes] = {}
        self.entries = 0

    async def write(self, _table: str, mutations: Mutations) -> None:
        self.apply(mutations.entries())

    async def write_entries(self, _table: str, entries: Sequence[Entry]) -> None:
        self.apply(entries)

    def begin_write(self, _table: str, entries: Sequence[Entry], done: asyncio.Future[Any], result: Any) -> None:
        self.apply(entries)
        done.set_result(result)

    def apply(self, entries: Sequence[Entry]) -> None:
        self.entries += len(entries)
        for entry in reversed(entries):
            (parsed,) = MutateRowsRequest.deserialize(entry.wire).entries
            for mutation in parsed.mutations:
                cell = mutation.set_cell
                self.cells[parsed.row_key, cell.family_name, cell.column_qualifier] = cell.value


def event(row: int, qualifier: int, number: int, *, warned: bool = False) -> Accepted:
    warnings = (FINDING,) if warned else ()
    return Accepted(b"row %d" % row, b"q%d" % qualifier, 1_705_276_800_000_000, b"value %d" % number, warnings)


events_of_rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.sampled_from([False] * 9 + [True])))


@given(events_of_rows, st.booleans())
@example([(1, 1, False), (2, 1, False), (3, 1, False), (1, 1, False)], False)
@example([(1, 1, False), (2, 1, False), (3, 1, False), (1, 1, False)], True)
async def test_the_last_event_of_a_cell_key_wins(keys: list[tuple[int, int, bool]], with_others: bool) -> None:
    events = [event(row, qualifier, number, warned=warned) for number, (row, qualifier, warned) in enumerate(keys)]
    bigtable: Any = FakeBigtable()
    table = EventsTable(bigtable, "day")

    if with_others:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        other: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        table.begin_store([(events, done, 1), ([event(99, 1, 99)], other, 2)])
        assert (await done, await other) == (1, 2)
        assert bigtable.cells.pop((b"row 99", "e", b"q1")) == b"value 99"
    else:
        await table.store(AcceptedColumns.of(events))

    assert {(row, qualifier): value for (row, family, qualifier), value in bigtable.cells.items() if family == "e"} == {
        (each.row_key, each.qualifier): each.value for each in events
    }
    warned = {(each.row_key, each.qualifier) for each in events if each.warnings}
    assert {(row, qualifier) for row, family, qualifier in bigtable.cells if family == "f"} == warned


async def test_few_events_of_a_row_are_entries_of_their_own_and_many_share_one() -> None:
    few: Any = FakeBigtable()
    many: Any = FakeBigtable()

    spread = [event(row, 1, row) for row in range(98)]
    await EventsTable(few, "day").store(AcceptedColumns.of([*spread, event(0, 2, 98)]))
    await EventsTable(many, "day").store(AcceptedColumns.of([event(0, each, each) for each in range(99)]))

    assert (few.entries, many.entries) == (99, 1)
