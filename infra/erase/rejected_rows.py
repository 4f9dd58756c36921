"""Find the rejected events of users with one scan of `rejected`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from infra.erase.skip_scan import gather_limited
from infra.erase.users import Users
from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import REJECTED, Bigtable
from shared.bigtable.read_rows import Scan
from shared.row_keys import all_shards
from shared.timestamps import parse_day


@dataclass(slots=True)
class RejectedRows:
    """Rejected events of users: the keys of their rows, and the days on which they were first published."""

    keys: list[bytes] = field(default_factory=list)
    days: set[date] = field(default_factory=set)


async def find_rejected_rows(bigtable: Bigtable, users: Users) -> RejectedRows:
    """Return the rows whose bytes name one of the users, in any version."""

    async def of_shard(prefix: bytes) -> list[bytes]:
        scan = Scan.prefix(prefix, filter=Filter(column_qualifier_regex_filter=b"raw"))
        return [row.key async for row in bigtable.read(REJECTED, scan) if any(map(users.is_named_by, row.values))]

    keys = [key for found in await gather_limited(map(of_shard, all_shards())) for key in found]
    return RejectedRows(keys, {parse_day(key[3:11].decode()) for key in keys})
