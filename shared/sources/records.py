"""What source files yield: events, one by one or in blocks, and pieces that can't be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol, TypeVar

import msgspec

MAX_QUOTED_BYTES = 4096  # bytes of unreadable input that are kept for the error report
# Bytes after which a block of gathered events ends.
_BLOCK_BYTES = 1024 * 1024


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event of a source file. Creating a struct takes a fifth of the time of a named tuple.

    Attributes:
        raw: one JSON value on one line, without the newline.
        source: the file name as the user gave it; "stdin" for standard input.
        line: the line where the record starts, from 1. For JSON arrays and pretty-printed JSON, the ordinal of the
            value, from 1.
    """

    raw: bytes
    source: str
    line: int


class Block(NamedTuple):
    """Consecutive events of one source file, as columns.

    Attributes:
        raws: of each event, as in `Record`.
        source: as in `Record`.
        lines: of each event, as in `Record`.
    """

    raws: list[bytes]
    source: str
    lines: Sequence[int]

    def records(self) -> Iterator[Record]:
        """Yield the events one by one."""
        return map(Record, self.raws, repeat(self.source), self.lines)

    def parts(self, max_events: int) -> Iterator[Block]:
        """Yield parts of at most `max_events`, all of about the same size."""
        count = len(self.raws)
        part_count = -(-count // max_events)
        size = -(-count // part_count) if count else 1
        for start in range(0, count, size):
            yield Block(self.raws[start : start + size], self.source, self.lines[start : start + size])


class Unreadable(NamedTuple):
    """A piece of a source file that can't be read as a row or a value.

    Attributes:
        source: the file name as the user gave it.
        line: as in `Record`.
        problem: what was found and what was expected.
        raw: the bytes concerned, at most `MAX_QUOTED_BYTES` of them.
    """

    source: str
    line: int
    problem: str
    raw: bytes


class _HasRaw(Protocol):
    @property
    def raw(self) -> bytes: ...


Item = TypeVar("Item", bound=_HasRaw)

# A reader that finds many events at once yields them as a block.
Piece = Block | Record | Unreadable


def records_of(pieces: Iterable[Piece]) -> Iterator[Record | Unreadable]:
    """Yield the events of pieces one by one, and what can't be read."""
    for piece in pieces:
        if isinstance(piece, Block):
            yield from piece.records()
        else:
            yield piece


def blocks_of(pieces: Iterable[Piece], max_events: int) -> Iterator[Block | Unreadable]:
    """Yield the events of pieces in blocks of at most `max_events`, and what can't be read.

    Single events are gathered, up to about `_BLOCK_BYTES`. A reader's block was in memory before it is divided.
    """
    gathered: list[Record] = []
    size = 0
    for piece in pieces:
        if type(piece) is Record:
            if gathered and piece.source != gathered[0].source:
                yield _block(gathered)
                gathered, size = [], 0
            gathered.append(piece)
            size += len(piece.raw)
            if len(gathered) < max_events and size < _BLOCK_BYTES:
                continue
        if gathered:
            yield _block(gathered)
            gathered, size = [], 0
        if isinstance(piece, Block):
            yield from piece.parts(max_events)
        elif isinstance(piece, Unreadable):
            yield piece
    if gathered:
        yield _block(gathered)


def _block(records: Sequence[Record]) -> Block:
    return Block([record.raw for record in records], records[0].source, [record.line for record in records])


def batches_of(items: Iterable[Item], max_items: int, max_bytes: int) -> Iterator[list[Item]]:
    """Yield items in batches of at most `max_items`; a batch that reaches `max_bytes` ends earlier."""
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.raw)
        if len(batch) == max_items or size >= max_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
