"""The log of erasures in `state`: when, how much and which days, but nothing of the users."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, datetime
from typing import Self

import msgspec
from msgspec import structs

from infra.erase.survey import Counts
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import STATE, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.tables.state import FAMILY
from shared.timestamps import now

_PREFIX, _QUALIFIER = b"erase#", b"erasure"


class Erasure(msgspec.Struct, frozen=True):
    """An erasure; its id is random, since a digest of the users could be found by trying users.

    Attributes:
        begun: when it began.
        users: number of users.
        counts: what it found when it began.
        days: the days that it marked to be computed again.
        finished: when it had read that nothing is left; None for one that was interrupted or found something left.
        continued_by: id of the erasure that has computed its days again, if it was interrupted.
    """

    id: str
    begun: datetime
    users: int
    counts: Counts
    days: list[date]
    finished: datetime | None = None
    continued_by: str = ""

    @classmethod
    def begin(cls, users: int, counts: Counts, days: Iterable[date]) -> Self:
        """Return an erasure that begins now."""
        return cls(uuid.uuid4().hex, now(), users, counts, sorted(days))

    @property
    def is_unfinished(self) -> bool:
        """Whether its days may still have to be computed again."""
        return self.finished is None and not self.continued_by

    @property
    def row_key(self) -> bytes:
        """The key of its row; rows are in the order in which the erasures began."""
        return _PREFIX + f"{self.begun:%Y%m%dT%H%M%S.%f}#{self.id}".encode()


class ErasureLog:
    """Reads and writes the log."""

    def __init__(self, bigtable: Bigtable) -> None:
        self._bigtable = bigtable

    async def write(self, *erasures: Erasure) -> None:
        """Write erasures, or replace what was written of them."""
        mutations = Mutations()
        for each in erasures:
            mutations.set_cell(each.row_key, FAMILY, _QUALIFIER, 0, msgspec.json.encode(each))
        await self._bigtable.write(STATE, mutations)

    async def finish(self, erasure: Erasure, continued: Iterable[Erasure]) -> Erasure:
        """Record that an erasure is finished, and that it has computed the days of earlier, unfinished ones."""
        finished = structs.replace(erasure, finished=now())
        await self.write(*(structs.replace(each, continued_by=erasure.id) for each in continued), finished)
        return finished

    async def read(self) -> list[Erasure]:
        """Return all erasures, oldest first."""
        scan = Scan.prefix(_PREFIX, filter=Filter(cells_per_column_limit_filter=1))
        return [msgspec.json.decode(row.values[0], type=Erasure) async for row in self._bigtable.read(STATE, scan)]
