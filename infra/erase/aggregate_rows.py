"""Find users in `aggregates`: rows by user, and cells of other rows that contain a user, in all versions.

A dimension by the contract's user has a row for each user and day; these rows are found by key. A dimension that the
contract doesn't name, of an earlier contract, may be by the user as well, so its rows of the same value belong to the
user. All rows of the other dimensions are read: the state of `unique` lists users.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import product
from typing import NamedTuple

from infra.erase.skip_scan import days_under, dimensions, gather_limited
from infra.erase.users import Users
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import AGGREGATES, Bigtable
from shared.bigtable.read_rows import Scan
from shared.contracts.model import RESERVED_DIMENSION, Contract
from shared.row_keys import aggregate_row, decode
from shared.timestamps import parse_day

_KEYS_PER_READ = 500  # a key has up to 4 KiB


class CellOfUser(NamedTuple):
    """A cell that contains a user, in a row of another value."""

    row_key: bytes
    family: str
    qualifier: bytes
    micros: int

    @property
    def day(self) -> date:
        """The day of the row."""
        return parse_day(self.row_key.split(b"#")[1].decode())


@dataclass(slots=True)
class AggregateRows:
    """What `aggregates` has of users.

    Attributes:
        keys: of the rows by user.
        cells: that contain a user.
        days: of all of these.
    """

    keys: list[bytes] = field(default_factory=list)
    cells: list[CellOfUser] = field(default_factory=list)
    days: set[date] = field(default_factory=set)

    def without_runs(self, runs: Mapping[date, int]) -> list[CellOfUser]:
        """Return the cells that don't belong to these runs.

        Args:
            runs: the start, in microseconds since 1970, of the run of each day that was computed after the erasure. It
                saw no event of the users, so the same text in its cells comes from events of others.
        """
        return [cell for cell in self.cells if runs.get(cell.day) != cell.micros]


async def find_aggregate_rows(bigtable: Bigtable, contract: Contract, users: Users) -> AggregateRows:
    """Return the rows and cells of users, of all days and of the dimensions of any contract."""
    by_field = {each.dimension: each.by for each in contract.aggregates} | {RESERVED_DIMENSION: None}
    rows = AggregateRows()
    for encoded in await dimensions(bigtable):
        by = by_field.get(decode(encoded.decode()), contract.user)
        if by == contract.user:
            rows.keys += await _rows_by_user(bigtable, encoded, users.stored)
        if by != contract.user or decode(encoded.decode()) not in by_field:
            rows.cells += await _cells_of_users(bigtable, encoded, users, set(rows.keys))
    rows.days = {parse_day(key.split(b"#")[1].decode()) for key in rows.keys} | {cell.day for cell in rows.cells}
    return rows


async def _rows_by_user(bigtable: Bigtable, dimension: bytes, users: Collection[str]) -> list[bytes]:
    name = decode(dimension.decode())
    days = await days_under(bigtable, AGGREGATES, dimension + b"#")
    keys = [aggregate_row(name, day, user) for day, user in product(days, sorted(users))]
    one_cell = Filter()
    one_cell.chain.filters.add(cells_per_row_limit_filter=1)
    one_cell.chain.filters.add(strip_value_transformer=True)

    async def existing(start: int) -> list[bytes]:
        scan = Scan(keys=keys[start : start + _KEYS_PER_READ], filter=one_cell)
        return [row.key async for row in bigtable.read(AGGREGATES, scan)]

    parts = await gather_limited(map(existing, range(0, len(keys), _KEYS_PER_READ)))
    return [key for part in parts for key in part]


async def _cells_of_users(
    bigtable: Bigtable, dimension: bytes, users: Users, erased: Collection[bytes]
) -> list[CellOfUser]:
    """Return the cells of a dimension that contain a user, without those of rows that are found already."""
    return [
        CellOfUser(row.key, family, qualifier, micros)
        async for row in bigtable.read(AGGREGATES, Scan.prefix(dimension + b"#"))
        if row.key not in erased
        for family, qualifier, micros, value in zip(row.families, row.qualifiers, row.micros, row.values, strict=True)
        if users.are_in(value)
    ]
