"""The events of users among the rows of a day in `events`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.bigtable.row_merger import Row
from shared.tables.events import FAMILY


async def group_by_user(batches: AsyncIterator[list[Row]]) -> AsyncIterator[list[list[Row]]]:
    """Group adjacent rows by user and yield the complete users of each batch; hourly buckets make several rows."""
    user, current_rows = b"", list[Row]()
    async for rows in batches:
        users: list[list[Row]] = []
        for row in rows:
            row_user = b"#".join(row.key.split(b"#")[:3])
            if row_user != user and current_rows:
                users.append(current_rows)
                current_rows = []
            user = row_user
            current_rows.append(row)
        yield users
    if current_rows:
        yield [current_rows]


def deduplicate(rows: list[Row]) -> tuple[list[bytes], list[tuple[bytes, bytes]], int]:
    """Keep only the newest event of each id in a user's day.

    Returns:
        The events, those that have findings with their findings, and the number of events left out.
    """
    if len(rows) == 1 and has_only_distinct_events(rows[0]):
        return rows[0].values, [], 0
    values: dict[bytes, bytes] = {}
    found: dict[bytes, bytes] = {}  # findings by the qualifier of their event
    qualifiers: list[bytes] = []
    repeated = 0
    for row in reversed(rows):  # later hours first; within a family the cells are newest first
        for family, qualifier, value in zip(row.families, row.qualifiers, row.values, strict=True):
            if family != FAMILY:
                found[qualifier] = value  # Bigtable returns families in any order
            elif (event_id := qualifier[12:]) in values:
                repeated += 1
            else:
                values[event_id] = value
                qualifiers.append(qualifier)
    events = zip(values.values(), qualifiers, strict=True)
    findings = [(event, found[qualifier]) for event, qualifier in events if qualifier in found]
    return list(values.values()), findings, repeated


def has_only_distinct_events(row: Row) -> bool:
    """Return whether a row has events with distinct ids and no findings, which is the common case."""
    event_ids = {qualifier[12:] for qualifier in row.qualifiers}
    return len(event_ids) == len(row.qualifiers) == row.families.count(FAMILY)
