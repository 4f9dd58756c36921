"""What the table `rejected` writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.bigtable.mutations import Mutations
from shared.tables.rejected import RejectedTable
from shared.validation.results import Finding, Rejected

PUBLISHED = datetime(2024, 1, 15, 12, tzinfo=UTC)


class Writes:
    """Records mutations in place of Bigtable."""

    def __init__(self) -> None:
        self.mutations: list[Mutations] = []

    async def write(self, _table: str, mutations: Mutations) -> None:
        self.mutations.append(mutations)


async def written(*rejected: Rejected) -> Mutations:
    bigtable: Any = Writes()
    await RejectedTable(bigtable).store(rejected, PUBLISHED, "1")
    [mutations] = bigtable.mutations
    return mutations


async def test_identical_events_are_written_once() -> None:
    first, other = (Rejected(raw, [Finding("required", "userId", "nothing", "a text")]) for raw in (b"{}", b"[]"))

    mutations = await written(*[first] * 500, other, *[first] * 500)

    assert len(mutations) == 2 * 4
    assert mutations.entries() == (await written(first, other)).entries()


async def test_the_last_findings_of_identical_events_win() -> None:
    first, last = (Rejected(b"{}", [Finding(rule, "userId", "nothing", "a text")]) for rule in ("required", "one_of"))

    [entry] = (await written(first, last)).entries()

    assert b"one_of" in entry.wire
    assert b"required" not in entry.wire
