"""Rows out of the answers that ReadRows streams: each a number of chunks, which are cells or parts of one.

`RowMerger` follows Google's conformance cases for ReadRows; everything a broken server could send that they call an
error is an `InvalidChunkError` here.

A day of a million events is a million chunks, so chunks are taken in by columns: one call fetches all fields of one,
and what has to hold of each is asked of a whole column at once. Where one isn't a plain whole cell, the answer is gone
through chunk by chunk. That is 2.6 µs a cell instead of 6.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, compress
from operator import attrgetter
from typing import Any, NamedTuple

from google.cloud.bigtable_v2.types import ReadRowsResponse
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import DecodeError


class Cell(NamedTuple):
    """One cell; `micros` is its time in microseconds since 1970."""

    family: str
    qualifier: bytes
    micros: int
    value: bytes
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Row:
    """One whole row, as the columns of its cells: by family (in no order), qualifier, and newest first.

    A day has millions of cells, and who goes through columns needs no object for each.
    """

    key: bytes
    families: list[str] = field(default_factory=list)
    qualifiers: list[bytes] = field(default_factory=list)
    micros: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """The cells one by one."""
        return list(map(Cell, self.families, self.qualifiers, self.micros, self.values, self.labels))


class InvalidChunkError(Exception):
    """The server sent chunks that make no rows."""


# What a field has that isn't there. No wrapper of a text begins with it.
_ABSENT = b"="


def _answer_type() -> Any:
    """Return Google's type of answers, but with families, qualifiers and labels as the bytes they are on the wire.

    Google wraps them into messages, each a Python object more, and whether they are there takes another call.
    """
    file = descriptor_pb2.FileDescriptorProto(name="sluice/read_rows.proto", package="sluice", syntax="proto2")
    ReadRowsResponse.pb().DESCRIPTOR.CopyToProto(file.message_type.add())
    answer = file.message_type[0]
    (chunk,) = answer.nested_type
    chunk.name, answer.field[0].type_name = "Chunk", ".sluice.ReadRowsResponse.Chunk"
    for each in (*answer.field[1:], *chunk.field):
        if each.type == each.TYPE_MESSAGE or each.label == each.LABEL_REPEATED:
            each.type, each.label, each.default_value = each.TYPE_BYTES, each.LABEL_OPTIONAL, _ABSENT
            each.ClearField("type_name")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sluice.ReadRowsResponse"))


_Answer: Any = _answer_type()
_GoogleAnswer: Any = ReadRowsResponse.pb()
_fields = attrgetter(
    "row_key",
    "family_name",
    "qualifier",
    "timestamp_micros",
    "labels",
    "value",
    "value_size",
    "reset_row",
    "commit_row",
)


class RowMerger:
    """Makes rows of answers; a chunk is a cell, a part of one, or the word that a row is whole or to be forgotten.

    Attributes:
        last_key: of the last whole row, or up to which the server has found none; None before there is one.
    """

    def __init__(self, *, reverse: bool = False) -> None:
        self._reverse = reverse
        self.last_key: bytes | None = None
        self._forget()

    def _forget(self) -> None:
        self._row = Row(b"")
        self._family: str | None = None
        self._qualifier: bytes | None = None
        self._micros = 0
        self._labels: tuple[str, ...] = ()
        self._parts: list[bytes] = []
        self._in_parts = False

    def add(self, data: bytes) -> Iterator[Row]:
        """Take in an answer, a serialized ReadRowsResponse, and return the rows that it completes.

        Raises:
            InvalidChunkError: it can't follow what came before.
        """
        try:
            answer = _Answer.FromString(data)
        except DecodeError as error:
            raise InvalidChunkError(f"not an answer to ReadRows: {error}") from None
        if answer.chunks:
            keys, families, qualifiers, micros, labels, values, sizes, resets, commits = zip(
                *map(_fields, answer.chunks), strict=True
            )
            special = self._in_parts or any(sizes) or any(resets) or _ABSENT in qualifiers
            if special or labels.count(_ABSENT) != len(labels):
                yield from self._one_by_one(_GoogleAnswer.FromString(data).chunks)
            else:
                yield from self._all_at_once(keys, families, _unwrapped(qualifiers), micros, values, commits)
        if answer.last_scanned_row_key:
            self.scanned(answer.last_scanned_row_key)

    def _all_at_once(
        self,
        keys: Sequence[bytes],
        families: Sequence[bytes],
        qualifiers: Sequence[bytes],
        micros: Sequence[int],
        values: Sequence[bytes],
        commits: Sequence[bool],
    ) -> Iterator[Row]:
        """Take in chunks that are whole cells, each with its own qualifier and without labels, as columns."""
        if families.count(families[0]) == len(families) and families[0] != _ABSENT:
            names: list[Any] = [_family_name(families[0])] * len(families)
        else:
            known: list[str | None] = [self._family, *map(_family_name, families)]
            names = list(accumulate(known, _latest))[1:]
        start = 0
        for stop in (*compress(range(1, len(commits)), commits), len(commits)):
            row = self._row
            if not row.key:
                self._begin_row(keys[start], families[start] != _ABSENT)
            if not {b"", row.key}.issuperset(keys[start:stop]):
                raise InvalidChunkError("a new row key before the row is committed")
            row.families += names[start:stop]
            row.qualifiers += qualifiers[start:stop]
            row.micros += micros[start:stop]
            row.values += values[start:stop]
            row.labels += [()] * (stop - start)
            self._family, self._qualifier = names[stop - 1], qualifiers[stop - 1]
            if commits[stop - 1]:
                yield self._whole_row()
            start = stop

    def _one_by_one(self, chunks: Iterable[Any]) -> Iterator[Row]:
        """Take in chunks of any kind, Google's `CellChunk`s."""
        for chunk in chunks:
            if chunk.reset_row:
                self._reset(chunk)
                continue
            if not self._row.key:
                self._begin_row(chunk.row_key, chunk.HasField("family_name") and chunk.HasField("qualifier"))
            elif chunk.row_key and chunk.row_key != self._row.key:
                raise InvalidChunkError("a new row key before the row is committed")
            self._add_cell(chunk)
            if chunk.commit_row:
                if self._in_parts:
                    raise InvalidChunkError("a commit inside a cell")
                yield self._whole_row()

    def _whole_row(self) -> Row:
        row = self._row
        self.last_key = row.key
        self._forget()
        return row

    def scanned(self, key: bytes) -> None:
        """Take note that the server has looked at all rows up to that key and found none to send."""
        if self._row.key:
            raise InvalidChunkError("a scanned key inside a row")
        self._check_order(key)
        self.last_key = key

    def finish(self) -> None:
        """Take note that the stream is over; InvalidChunkError if a row isn't."""
        if self._row.key:
            raise InvalidChunkError("the stream ended inside a row")

    def _reset(self, chunk: Any) -> None:
        if not self._row.key:
            raise InvalidChunkError("a reset outside a row")
        if chunk.row_key or chunk.HasField("family_name") or chunk.HasField("qualifier") or chunk.timestamp_micros:
            raise InvalidChunkError("a reset with a cell in it")
        if chunk.value or chunk.labels or chunk.commit_row:
            raise InvalidChunkError("a reset with data in it")
        self._forget()

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

    def _add_cell(self, chunk: Any) -> None:
        if self._in_parts:
            if chunk.HasField("family_name") or chunk.HasField("qualifier") or chunk.timestamp_micros or chunk.labels:
                raise InvalidChunkError("a new cell inside a cell")
            self._parts.append(chunk.value)
            if not chunk.value_size:
                self._in_parts = False
                self._finish_cell(b"".join(self._parts))
            return
        if chunk.HasField("family_name"):
            if not chunk.HasField("qualifier"):
                raise InvalidChunkError("a family without a qualifier")
            self._family = chunk.family_name.value
        if chunk.HasField("qualifier"):
            self._qualifier = chunk.qualifier.value
        self._micros = chunk.timestamp_micros
        self._labels = tuple(chunk.labels) if chunk.labels else ()
        if chunk.value_size:
            self._in_parts = True
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


@lru_cache(maxsize=256)
def _family_name(wrapped: bytes) -> str | None:
    """Return the text in a wrapper, as it is on the wire; None of none."""
    return None if wrapped == _ABSENT else wrappers_pb2.StringValue.FromString(wrapped).value


def _latest(last: str | None, name: str | None) -> str | None:
    return last if name is None else name


def _unwrapped(wrapped: Sequence[bytes]) -> list[bytes]:
    """Return the texts in wrappers: behind the field's number and the length, a byte each for texts below 128."""
    if max(map(len, wrapped)) < 130:
        return [each[2:] for each in wrapped]
    return [wrappers_pb2.BytesValue.FromString(each).value for each in wrapped]
