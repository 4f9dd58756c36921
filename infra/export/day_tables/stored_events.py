"""The events of users as `events` stores them: the newest of each id, with its findings and earlier versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple
from zlib import crc32

import msgspec

from infra.export.day_tables.record_batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from shared import row_keys
from shared.bigtable.row_merger import Row
from shared.tables.events import FAMILY
from shared.tables.user_events import has_only_distinct_events

_QUALIFIER_TIME_BYTES = 12  # TTTTTTTTTTT#

_decode_findings = msgspec.json.Decoder(tuple[int, msgspec.Raw]).decode


class StoredEvent(NamedTuple):
    """An event that counts, which is the newest of its user, day and id.

    Attributes:
        event_id: its id, encoded as in its qualifier.
        value: the canonical event as JSON.
        findings: of its `warn` rules, a JSON array; None without findings.
        earlier: older events with the same id, newest first, which don't count.
    """

    event_id: str
    value: bytes
    findings: bytes | None
    earlier: tuple[bytes, ...]


def events_of_user(rows: list[Row]) -> Iterator[StoredEvent]:
    """Yield the events of one user's day that count, each like `shared.tables.user_events.deduplicate` keeps it.

    Args:
        rows: of the user and day, in key order.
    """
    if len(rows) == 1 and has_only_distinct_events(rows[0]):
        for qualifier, value in zip(rows[0].qualifiers, rows[0].values, strict=True):
            yield StoredEvent(qualifier[_QUALIFIER_TIME_BYTES:].decode(), value, None, ())
        return
    versions: dict[bytes, list[tuple[bytes, bytes]]] = {}
    findings: dict[bytes, bytes] = {}
    for row in reversed(rows):  # later hours first; within a family the cells are newest first
        for family, qualifier, value in zip(row.families, row.qualifiers, row.values, strict=True):
            if family == FAMILY:
                versions.setdefault(qualifier[_QUALIFIER_TIME_BYTES:], []).append((qualifier, value))
            else:
                findings[qualifier] = value
    for event_id, [(qualifier, value), *earlier] in versions.items():
        found = _matching(findings[qualifier], value) if qualifier in findings else None
        yield StoredEvent(event_id.decode(), value, found, tuple(each for _, each in earlier))


def _matching(stored: bytes, event: bytes) -> bytes | None:
    """Return the findings that are stored beside an event; None if they belong to an earlier body of it."""
    digest, findings = _decode_findings(stored)
    return bytes(findings) if digest == crc32(event) else None


def slices(users: Iterable[list[Row]]) -> Iterator[list[StoredEvent]]:
    """Yield the events of users in slices of bounded size."""
    current: list[StoredEvent] = []
    size = 0
    for event in chain.from_iterable(map(events_of_user, users)):
        current.append(event)
        size += len(event.value) + sum(map(len, event.earlier))
        if len(current) >= MAX_BATCH_ROWS or size >= MAX_BATCH_BYTES:
            yield current
            current, size = [], 0
    if current:
        yield current


def readable_id(event_id: str, parts: int) -> str:
    """Return an encoded id as text; that of several parts stays encoded, since it joins them with colons."""
    return row_keys.decode(event_id) if parts == 1 else event_id
