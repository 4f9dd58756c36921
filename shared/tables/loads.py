"""The loads of objects, in the table `state`: the ranges of each object, and how far each range is stored."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.client import STATE, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.pubsub.load_requests import ObjectVersion
from shared.tables.state import FAMILY
from shared.timestamps import now

_PREFIX = b"load#"
_LOAD, _FAILED = b"load", b"failed"
# Progress of an unfinished range and of a finished one, apart: a late checkpoint must not reopen a finished range.
_POSITION, _DONE = b"position#", b"done#"
_NEWEST = Filter(cells_per_column_limit_filter=1)
MAX_PROBLEMS = 5  # of a range

# How the ranges of an object are read. whole: it is one range. json_lines: each line is a JSON object. access_log: each
# line is a record of a web server. rows: lines are rows of cells, and every range is read behind the header.
Layout = Literal["whole", "json_lines", "access_log", "rows"]


class Load(msgspec.Struct, frozen=True):
    """How an object is loaded.

    Attributes:
        object: the object.
        size: its bytes.
        created: when it was created, the publish time of its events.
        started: when it was first announced.
        starts: the first byte of each range; the next range, or the end of the object, ends it.
        layout: how the ranges are read.
        header_bytes: bytes at the beginning of the object that precede the data of every range but the first.
    """

    object: ObjectVersion
    size: int
    created: datetime
    started: datetime
    starts: list[int]
    layout: Layout = "whole"
    header_bytes: int = 0

    def end_of(self, start: int) -> int:
        """Return the end (exclusive) of the range that begins at a byte."""
        return min((each for each in self.starts if each > start), default=self.size)


class Progress(msgspec.Struct, frozen=True):
    """How far a range is stored.

    Attributes:
        items: records and unreadable pieces of the range that are done, from its beginning on.
        stored: events that are stored; an event that occurs twice counts twice.
        rejected: events that are rejected.
        unreadable: pieces that aren't events.
        problems: the first `MAX_PROBLEMS` of these pieces, with position and reason.
        updated: when this was written.
    """

    items: int = 0
    stored: int = 0
    rejected: int = 0
    unreadable: int = 0
    problems: list[str] = []
    updated: datetime | None = None


class LoadState(NamedTuple):
    """The state of a load.

    Attributes:
        load: how it is loaded.
        done: the finished ranges, by their first byte.
        positions: the ranges that are stored partly, by their first byte; they may be done.
        error: why it can't be loaded; "" if it can.
    """

    load: Load
    done: dict[int, Progress]
    positions: dict[int, Progress]
    error: str

    @property
    def finished(self) -> bool:
        """Whether every range is done."""
        return not self.error and len(self.done) == len(self.load.starts)

    def progress(self) -> Progress:
        """Return the sum of all ranges, with the time of the last one."""
        ranges = list({**self.positions, **self.done}.values())
        return Progress(
            items=sum(each.items for each in ranges),
            stored=sum(each.stored for each in ranges),
            rejected=sum(each.rejected for each in ranges),
            unreadable=sum(each.unreadable for each in ranges),
            problems=[problem for each in ranges for problem in each.problems][:MAX_PROBLEMS],
            updated=max((each.updated for each in ranges if each.updated), default=None),
        )


class LoadsTable:
    """Reads and writes the states of loads."""

    def __init__(self, bigtable: Bigtable) -> None:
        self._bigtable = bigtable

    async def find(self, object: ObjectVersion) -> LoadState | None:
        """Return the state of an object's load; None if it has none."""
        scan = Scan(keys=[_row_key(object)], filter=_NEWEST)
        return next(iter([_state(row) async for row in self._bigtable.read(STATE, scan)]), None)

    async def all(self) -> AsyncGenerator[LoadState]:
        """Yield the states of all loads, in no particular order."""
        async for row in self._bigtable.read(STATE, Scan.prefix(_PREFIX, filter=_NEWEST)):
            yield _state(row)

    async def begin(self, load: Load) -> None:
        """Store how an object is loaded."""
        await self._write(load.object, _LOAD, msgspec.json.encode(load))

    async def checkpoint(self, load: Load, start: int, progress: Progress) -> None:
        """Store how far a range is stored."""
        await self._write(load.object, b"%b%d" % (_POSITION, start), msgspec.json.encode(progress))

    async def finish(self, load: Load, start: int, progress: Progress) -> None:
        """Store that a range is done."""
        await self._write(load.object, b"%b%d" % (_DONE, start), msgspec.json.encode(progress))

    async def fail(self, load: Load, error: str) -> None:
        """Store that an object can't be loaded, and why."""
        await self.begin(load)
        await self._write(load.object, _FAILED, error.encode("utf-8", "replace"))

    async def _write(self, object: ObjectVersion, qualifier: bytes, value: bytes) -> None:
        micros = int(now().timestamp() * 1_000) * 1_000
        mutations = Mutations()
        mutations.set_cell(_row_key(object), FAMILY, qualifier, micros, value)
        await self._bigtable.write(STATE, mutations)


def _row_key(object: ObjectVersion) -> bytes:
    """Return the row key of a load. Names of objects may be 1,024 bytes long, and contain any character."""
    identity = f"{object.bucket}/{object.name}#{object.generation}".encode("utf-8", "surrogatepass")
    return _PREFIX + hashlib.sha256(identity).hexdigest()[:32].encode()


def _state(row: Any) -> LoadState:
    cells = {cell.qualifier: cell.value for cell in row.cells}
    load = msgspec.json.decode(cells[_LOAD], type=Load)
    return LoadState(
        load, _ranges(cells, _DONE), _ranges(cells, _POSITION), cells.get(_FAILED, b"").decode("utf-8", "replace")
    )


def _ranges(cells: dict[bytes, bytes], prefix: bytes) -> dict[int, Progress]:
    return {
        int(qualifier.removeprefix(prefix)): msgspec.json.decode(value, type=Progress)
        for qualifier, value in cells.items()
        if qualifier.startswith(prefix)
    }
