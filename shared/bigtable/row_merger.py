"""Merging of ReadRows responses into rows; a response consists of chunks, each a cell or a part of one.

`RowMerger` passes Google's conformance cases for ReadRows. Their error cases raise `InvalidChunkError`.

`shared.bigtable.chunk_columns` reads the chunks of plain responses, nearly all of them, as columns. The chunks of other
responses are merged one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from shared.bigtable.chunks import Chunk, read_chunk, read_response
from shared.bigtable.wire_format import WireFormatError

if TYPE_CHECKING:
    from shared.bigtable.chunk_columns import PlainCells

# Bytes of a response with few chunks, which are merged one by one.
_FEW_BYTES = 1_024


class Cell(NamedTuple):
    """A cell; `micros` is its timestamp in microseconds since 1970."""

    family: str
    qualifier: bytes
    micros: int
    value: bytes
    labels: tuple[str, ...] = ()


class Row(msgspec.Struct, gc=False):
    """A complete row. Its cells are columns: grouped by family (in any order), sorted by qualifier, newest first.

    A day has millions of cells; a reader of the columns needs no object per cell.
    """

    key: bytes
    families: list[str] = []
    qualifiers: list[bytes] = []
    micros: list[int] = []
    values: list[bytes] = []
    labels: list[tuple[str, ...]] = []

    @property
    def cells(self) -> list[Cell]:
        """The cells as objects."""
        return list(map(Cell, self.families, self.qualifiers, self.micros, self.values, self.labels))


class InvalidChunkError(Exception):
    """The server sent chunks that don't form rows."""


class RowMerger:
    """Merges the chunks of responses into rows.

    Attributes:
        last_key: of the last complete row or scanned key; None before the first.
    """

    def __init__(self, *, reverse: bool = False) -> None:
        self._reverse = reverse
        self.last_key: bytes | None = None
        self._clear()

    def _clear(self) -> None:
        self._row = Row(b"")
        self._family: str | None = None
        self._qualifier: bytes | None = None
        self._micros = 0
        self._labels: tuple[str, ...] = ()
        self._parts: list[bytes] = []
        self._in_cell = False

    def add(self, data: bytes) -> Iterator[Row]:
        """Merge a serialized ReadRowsResponse and yield the rows that it completes.

        Raises:
            InvalidChunkError: its chunks are invalid here.
        """
        try:
            if len(data) <= _FEW_BYTES or self._in_cell:
                chunks, scanned = read_response(data)
                plain = None
            else:
                from shared.bigtable.chunk_columns import read_columns  # late: see `wire_format`

                chunks, scanned, plain = read_columns(data, self._row.key, self._family)
            if plain is None:
                yield from self._merge_chunks(map(read_chunk, chunks))
            else:
                yield from self._merge_columns(plain)
        except (WireFormatError, UnicodeDecodeError) as error:
            raise InvalidChunkError(f"not a response of ReadRows: {error}") from None
        if scanned:
            self.scanned(scanned)

    def _merge_columns(self, plain: PlainCells) -> Iterator[Row]:
        """Merge complete cells, given as columns."""
        stop = 0
        for key, family, count, committed in plain.runs:
            start, stop = stop, stop + count
            row = self._row
            if not row.key:
                self._check_order(key)
                if committed:  # a complete row of one family, like nearly all rows of `events`
                    cells = slice(start, stop)
                    qualifiers, micros, values = plain.qualifiers[cells], plain.micros[cells], plain.values[cells]
                    self.last_key = key
                    yield Row(key, [family] * count, qualifiers, micros, values, [()] * count)
                    continue
                row.key = key
            row.families += [family] * count
            row.qualifiers += plain.qualifiers[start:stop]
            row.micros += plain.micros[start:stop]
            row.values += plain.values[start:stop]
            row.labels += [()] * count
            if committed:
                yield self._complete_row()
            else:
                self._family, self._qualifier = family, row.qualifiers[-1]

    def _merge_chunks(self, chunks: Iterable[Chunk]) -> Iterator[Row]:
        """Merge chunks of any kind."""
        for chunk in chunks:
            if chunk.reset_row:
                self._reset(chunk)
                continue
            if not self._row.key:
                self._begin_row(chunk.row_key, chunk.family is not None and chunk.qualifier is not None)
            elif chunk.row_key and chunk.row_key != self._row.key:
                raise InvalidChunkError("a new row key before the row is committed")
            self._add_cell(chunk)
            if chunk.commit_row:
                if self._in_cell:
                    raise InvalidChunkError("a commit inside a cell")
                yield self._complete_row()

    def _complete_row(self) -> Row:
        row = self._row
        self.last_key = row.key
        self._clear()
        return row

    def scanned(self, key: bytes) -> None:
        """Record that the server has scanned all rows up to a key without a match."""
        if self._row.key:
            raise InvalidChunkError("a scanned key inside a row")
        self._check_order(key)
        self.last_key = key

    def finish(self) -> None:
        """Record the end of the stream; InvalidChunkError if a row is incomplete."""
        if self._row.key:
            raise InvalidChunkError("the stream ended inside a row")

    def _reset(self, chunk: Chunk) -> None:
        if not self._row.key:
            raise InvalidChunkError("a reset outside a row")
        if chunk.row_key or chunk.family is not None or chunk.qualifier is not None or chunk.micros:
            raise InvalidChunkError("a reset with a cell in it")
        if chunk.value or chunk.labels or chunk.commit_row:
            raise InvalidChunkError("a reset with data in it")
        self._clear()

    def _begin_row(self, key: bytes, has_column: bool) -> None:
        if not key:
            raise InvalidChunkError("a row without a key")
        self._check_order(key)
        if not has_column:
            raise InvalidChunkError("a row whose first cell has no family or qualifier")
        self._row.key = key

    def _check_order(self, key: bytes) -> None:
        last = self.last_key
        if last is not None and (key >= last if self._reverse else key <= last):
            raise InvalidChunkError("row keys out of order")

    def _add_cell(self, chunk: Chunk) -> None:
        if self._in_cell:
            if chunk.family is not None or chunk.qualifier is not None or chunk.micros or chunk.labels:
                raise InvalidChunkError("a new cell inside a cell")
            self._parts.append(chunk.value)
            if not chunk.value_size:
                self._in_cell = False
                self._finish_cell(b"".join(self._parts))
            return
        if chunk.family is not None:
            if chunk.qualifier is None:
                raise InvalidChunkError("a family without a qualifier")
            self._family = chunk.family
        if chunk.qualifier is not None:
            self._qualifier = chunk.qualifier
        self._micros = chunk.micros
        self._labels = chunk.labels
        if chunk.value_size:
            self._in_cell = True
            self._parts = [chunk.value]
        else:
            self._finish_cell(chunk.value)

    def _finish_cell(self, value: bytes) -> None:
        if self._family is None or self._qualifier is None:
            raise InvalidChunkError("a cell without a family or qualifier")
        self._row.families.append(self._family)
        self._row.qualifiers.append(self._qualifier)
        self._row.micros.append(self._micros)
        self._row.values.append(value)
        self._row.labels.append(self._labels)
