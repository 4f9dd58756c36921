"""Read a bounded sample of a file: its first records, and records from places spread over the rest of it."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec.structs import replace

from infra.contracts.inference import names
from infra.contracts.inference.columns import Column, columns_of
from infra.contracts.inference.columns import Path as FieldPath
from shared.contracts.paths import join_path
from shared.contracts.source import Format, SourceFormat
from shared.errors import SourceError
from shared.sources.csv_cells import DEFAULT
from shared.sources.detection import detect
from shared.sources.files import ColumnType, Record, SourceReader, Unreadable

# Bytes of a sample's records; decoded they take several times as many.
_MAX_BYTES = 16 << 20
_PLACES = 8
_MAX_PLACE_BYTES = 256 << 10
# Types that cells are tried as; a column has the first type that all its cells have.
_TRIED: dict[ColumnType, Callable[[str], object]] = {
    "integer": re.compile(r"\s*[+-]?\d[\d.,'_\s]*").fullmatch,
    "number": re.compile(r"\s*[+-]?[\d.,][\d.,'_\s]*(?:[eE][+-]?\d+)?\s*").fullmatch,
    "boolean": re.compile(r"(?i)\s*(?:true|false)\s*").fullmatch,
    "json": re.compile(r"\s*[{\[]").match,
}
_PROBED = 50  # texts of a column that decide whether a type is worth trying
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_DIGITS_OF_A_DAY = re.compile(r"(?:19|20)\d{6}(?:\d{6})?")


@dataclass(frozen=True)
class Sample:
    """Some records of a file.

    Attributes:
        records: decoded; the cells of a text file have the type that all cells of their column have.
        source: how the file is written.
        whole: the paths of cells that hold objects, which a contract can't take apart.
        unreadable: pieces that can't be read, or are no objects.
        complete: whether the sample is the whole file.
    """

    records: list[dict[str, Any]]
    source: SourceFormat = DEFAULT
    whole: frozenset[FieldPath] = frozenset()
    unreadable: int = 0
    complete: bool = True


def read_sample(path: Path | None, form: Format, most: int) -> Sample:
    """Read at most that many records: half of them from the start, the others from places all over the file.

    Only a plain file of lines can be read from its middle; the sample of any other file is its start.

    Args:
        path: of the file; None for standard input.
        form: "auto", or the format.
        most: records of the sample.

    Raises:
        SourceError: nothing can be read.
    """
    if path is not None:
        return _read(path, str(path), form, most)
    with tempfile.NamedTemporaryFile() as file:
        file.write(sys.stdin.buffer.read(_MAX_BYTES))
        file.flush()
        return _read(Path(file.name), "stdin", form, most)


def _read(path: Path, name: str, form: Format, most: int) -> Sample:
    file = _File(path, name, form, most)
    items = file.items({})
    records = _objects(items)
    if not records:
        problem = next((item.problem for item in items if isinstance(item, Unreadable)), "found no records")
        raise SourceError(f"{name}: {problem}; expected records to infer a contract from")
    types = _types_of_cells(file, columns_of(records)) if file.source.format == "csv" else {}
    typed = _objects(file.items({join_path(column.path): kind for column, kind in types.items()})) if types else records
    whole = frozenset(column.path for column, kind in types.items() if kind == "json")
    return Sample(typed, file.source, whole, len(items) - len(records), file.complete)


class _File:
    """A file whose items can be read several times, with different types of its cells.

    Attributes:
        source: how the file is written.
        complete: whether the items are all of the file's.
    """

    def __init__(self, path: Path, name: str, form: Format, most: int) -> None:
        self._path, self._name, self._most = path, name, most
        self._places: list[bytes] | None = None
        self.complete = False
        try:
            found = detect(path, name)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SourceError(f"{name}: can't be read: {reason}; expected a file of events") from None
        self.source = found if form == "auto" else replace(found, format=form)

    def items(self, types: Mapping[str, ColumnType]) -> list[Record | Unreadable]:
        """Return the items of the sample, with cells of these types."""
        with self._path.open("rb") as file:
            reader = self._reader(file, types)
            items, ended = _take(reader, self._most)
        if self._places is None:
            self.complete = ended
            self._places = [] if ended else _places(self._path, items, reader.bytes_read)
        if not self._places:
            return items
        share = self._most // 2 // len(self._places)
        others = (self._reader(io.BytesIO(place), types) for place in self._places)
        return items[: self._most // 2] + list(chain.from_iterable(_take(other, share)[0] for other in others))

    def _reader(self, file: BinaryIO, types: Mapping[str, ColumnType]) -> SourceReader:
        return SourceReader([None], source_format=self.source, columns=types, stdin=file, stdin_name=self._name)


def _take(reader: SourceReader, most: int) -> tuple[list[Record | Unreadable], bool]:
    """Return the first items of a reader, and whether they are all."""
    taken: list[Record | Unreadable] = []
    size = 0
    with closing(iter(reader)) as items:
        for item in items:
            if len(taken) == most or size > _MAX_BYTES:
                return taken, False
            taken.append(item)
            size += len(item.raw)
    return taken, True


def _places(path: Path, items: Iterable[Record | Unreadable], read: int) -> list[bytes]:
    """Return pieces of whole lines from all over the file, each with its header; none for a file of other shapes."""
    first = next((item for item in items if isinstance(item, Record)), None)
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        if first is None or size - read < _PLACES * _MAX_PLACE_BYTES:
            return []
        file.seek(0)
        header = b"".join(file.readline(_MAX_PLACE_BYTES) for _ in range(first.line - 1))
        line = file.readline(_MAX_PLACE_BYTES)
        # Of a compressed file, an array, pretty-printed JSON or UTF-16, a line is no record.
        if b"\0" in line or (line.lstrip()[:1] in (b"{", b"[") and line.strip() != first.raw):
            return []
        found = []
        for place in range(_PLACES):
            file.seek(read + (size - read) * (2 * place + 1) // (2 * _PLACES))
            lines = file.read(_MAX_PLACE_BYTES).split(b"\n")[1:-1]
            # A quoted cell over several lines has an odd number of quotes in its first and in its last line.
            if lines and (line.lstrip()[:1] == b"{" or all(each.count(b'"') % 2 == 0 for each in lines)):
                found.append(header + b"\n".join(lines) + b"\n")
    return found


def _objects(items: Iterable[Record | Unreadable]) -> list[dict[str, Any]]:
    objects = []
    for item in items:
        if isinstance(item, Record):
            try:
                value = msgspec.json.decode(item.raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(value, dict):
                objects.append(value)
    return objects


def _types_of_cells(file: _File, columns: Iterable[Column]) -> dict[Column, ColumnType]:
    """Return the types of the columns whose texts are all numbers, booleans, objects or arrays.

    Reading the file with each type applies exactly the conversion that the contract will. JSON keeps its own types.
    """
    texts = [column for column in columns if column.only(str) and not _is_text_of_digits(column)]
    found: dict[Column, ColumnType] = {}
    for tried, looks_like in _TRIED.items():
        untyped = [column for column in texts if column not in found and all(map(looks_like, column.present[:_PROBED]))]
        if untyped:
            records = _objects(file.items({join_path(column.path): tried for column in untyped}))
            found |= {column: tried for column in untyped if not any(_has_text(record, column) for record in records)}
    return found


def _has_text(record: dict[str, Any], column: Column) -> bool:
    """Return whether the value of a column is a text."""
    value: Any = record
    for key in column.path:
        value = value.get(key) if isinstance(value, dict) else None
    return isinstance(value, str)


def _is_text_of_digits(column: Column) -> bool:
    """Return whether a column's digits are no number: they begin with zeros, or are days without separators."""
    if any(_LEADING_ZERO.match(text) for text in column.present):
        return True
    return names.is_named_as_time(column.path) and all(_DIGITS_OF_A_DAY.fullmatch(text) for text in column.present)
