"""Read CSV the way a spreadsheet would, each row becoming one line of JSON."""

from __future__ import annotations

import csv
import math
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

import msgspec

from shared.errors import SourceError

ColumnType = Literal["string", "integer", "number", "boolean", "json"]

# Bytes of a row, embedded newlines included. Four times the 256 KiB that fit an envelope, so nothing that could be
# published is lost; and all that an unclosed quote can make us hold and read again.
MAX_ROW = 1 << 20

# Bytes kept of what can't be read: enough to recognise it.
MAX_QUOTED = 4096


class Record(NamedTuple):
    """One event as it will travel.

    Attributes:
        raw: JSON text of one value on one line, without the newline.
        source: the file's name as the user gave it; "stdin" for standard input.
        line: where it starts, from 1; the ordinal of the value, from 1, in a JSON array or in pretty-printed JSON.
    """

    raw: bytes
    source: str
    line: int


class Unreadable(NamedTuple):
    """A piece of a file that can't be read as a row or value.

    Attributes:
        source: the file's name as the user gave it.
        line: as in a `Record`.
        problem: what was found and what was expected, for a person.
        raw: the bytes concerned, at most `MAX_QUOTED` of them.
    """

    source: str
    line: int
    problem: str
    raw: bytes


class _RowError(Exception):
    """A row whose end can't be found; the text says why."""


class _Rows:
    """The rows of a CSV file, and where each came from.

    A quote that is never closed makes a parser take the rest of the file for one cell. So the lines of the row being
    read are kept, and when it turns out to have no end they are read again from its second line on.
    """

    def __init__(self, lines: Iterator[bytes], first_line: int, delimiter: str) -> None:
        self.line = first_line  # where the current row starts
        self.raw: list[bytes] = []  # the lines of the current row
        self._lines = lines
        self._again: deque[bytes] = deque()
        self._delimiter = delimiter

    def __iter__(self) -> Iterator[list[str] | str]:
        """Yield the cells of every row, none for an empty line; for a row without an end, as text, what is wrong."""
        # The module's own limit is 128 KiB a cell. Ours is on the row, and it is checked before the parser sees it.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))
        while True:
            try:
                for cells in csv.reader(self._feed(), delimiter=self._delimiter):
                    yield cells
                    self.line += len(self.raw)
                    self.raw.clear()
            except (_RowError, csv.Error) as error:
                self._again.extendleft(reversed(self.raw[1:]))
                del self.raw[1:]
                yield _explain(error)
                self.line += 1
                self.raw.clear()
            else:
                return

    def _feed(self) -> Iterator[str]:
        raw, again = self.raw, self._again
        size = 0
        while line := again.popleft() if again else next(self._lines, b""):
            size = size + len(line) if raw else len(line)
            raw.append(line)
            if size > MAX_ROW:
                lines = f", {len(raw)} lines of it (is a quote not closed?)" if len(raw) > 1 else ""
                raise _RowError(f"found a row longer than 1 MiB{lines}, expected at most 1 MiB")
            # Bytes that aren't UTF-8 become surrogates: the row's end is still found, encoding it as JSON then fails.
            yield line.decode(errors="surrogateescape")
        if raw:  # the parser asks for more in the middle of a row
            raise _RowError("found a quote that is never closed, expected a closing one before the file ends")


def read_csv(
    lines: Iterator[bytes], source: str, columns: Mapping[str, ColumnType] | None = None, first_line: int = 1
) -> Iterator[Record | Unreadable]:
    """Read the rows below a header row as JSON objects, keyed by the header's names.

    An empty cell is null, and so is one missing at the end of a row. A dot in a name nests: `actor.login` becomes
    `{"actor": {"login": ...}}`. A cell whose column has no name is called `column_N`, N its position from 1, and is
    there only when it isn't empty. Rows without any content are skipped. A cell that doesn't spell what `columns`
    says stays a string, for the contract's `type` check to find.

    Args:
        lines: of the file, line ends included, no byte order mark.
        source: the file's name, for records and errors.
        columns: by header name, how to read the cells; text where a name isn't in it.
        first_line: the number of the first of `lines`.

    Raises:
        SourceError: the header can't be used: unreadable, a name twice, a name that is a value and an object, or none
            of the names in `columns`.
    """
    for first in lines:
        if first.strip():
            break
        first_line += 1
    else:
        return
    rows = _Rows(chain((first,), lines), first_line, _delimiter(first))
    content, lines_of_row = iter(rows), rows.raw
    header = next((cells for cells in content if any(cells)), None)
    if header is None:
        return
    convert = _converter(header, f"{source}, line {rows.line}", columns or {})
    encode = msgspec.json.Encoder().encode
    make = tuple.__new__  # what Record(...) calls in the end, at a third of the cost
    for cells in content:
        if isinstance(cells, str):
            yield Unreadable(source, rows.line, cells, rows.raw[0][:MAX_QUOTED])
        elif any(cells) and not lines_of_row[0].isspace():
            try:
                raw = encode(convert(cells))
            except UnicodeEncodeError:
                yield _not_utf8(source, rows)
            else:
                yield make(Record, (raw, source, rows.line))


def _delimiter(header: bytes) -> str:
    """Return the comma, unless the header has none outside quotes and has the other ones spreadsheets write."""
    bare = re.sub(rb'"[^"]*"?', b"", header)
    if b"," in bare:
        return ","
    semicolons, tabs = bare.count(b";"), bare.strip(b"\r\n").count(b"\t")
    return "," if not semicolons + tabs else ";" if semicolons >= tabs else "\t"


def _explain(error: Exception) -> str:
    if "new-line character" in str(error):
        return "found a carriage return inside a row, expected rows to end in LF or CRLF"
    return str(error)


def _not_utf8(source: str, rows: _Rows) -> Unreadable:
    raw = b"".join(rows.raw)
    try:
        raw.decode()
        found = "text with half of a surrogate pair"
    except UnicodeDecodeError as error:
        found = f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the row"
    return Unreadable(source, rows.line, f"found {found}, expected UTF-8", raw[:MAX_QUOTED])


Convert = Callable[[list[str]], dict[str, Any]]


def _converter(header: list[str] | str, where: str, columns: Mapping[str, ColumnType]) -> Convert:
    """Return what makes an object of a row, with all that depends on the header alone decided."""
    if isinstance(header, str):
        raise SourceError(f"{where}: the header can't be read: {header}")
    given = [name.strip() for name in header]
    _refuse_bad_names(given, where)
    if columns and columns.keys().isdisjoint(given):
        found, expected = ", ".join(map(repr, given))[:200], ", ".join(columns)
        raise SourceError(f"{where}: found the columns {found}, expected a header with some of {expected}")
    taken = {name.split(".")[0] for name in given}
    names = [name or _spare_name(position, taken) for position, name in enumerate(given, 1)]
    width = len(names)
    typed = [(at, _CONVERTERS[kind]) for at, name in enumerate(names) if (kind := columns.get(name)) in _CONVERTERS]
    optional = [name for name, was in zip(names, given, strict=True) if not was]
    nested = [(name, name.split(".")[:-1], name.split(".")[-1]) for name in given if "." in name]
    plain = not optional and not nested

    def convert(cells: list[str]) -> dict[str, Any]:
        values: list[Any] = [cell or None for cell in cells]
        if len(values) < width:
            values += [None] * (width - len(values))
        for at, spelled in typed:
            if (cell := values[at]) is not None:
                values[at] = spelled(cell)
        event = dict(zip(names, values))  # noqa: B905 - surplus cells are for later; spelled out it costs a tenth more
        if plain and len(values) == width:
            return event
        if len(values) > width:
            surplus = enumerate(values[width:], width + 1)
            event.update((_spare_name(position, taken), cell) for position, cell in surplus if cell is not None)
        for name in optional:
            if event[name] is None:
                del event[name]
        for name, parents, leaf in nested:
            node = event
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = event.pop(name)
        return event

    return convert


def _refuse_bad_names(names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for name in filter(None, names):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SourceError(f"{where}: found {name!r} in the header, expected UTF-8") from None
        if name in seen:
            raise SourceError(f"{where}: found the column {name!r} twice in the header, expected different names")
        seen.add(name)
    for name in seen:
        parts = name.split(".")
        for length in range(1, len(parts)):
            if (parent := ".".join(parts[:length])) in seen:
                raise SourceError(
                    f"{where}: found the columns {parent!r} and {name!r}, expected {parent!r} to be either a value "
                    "or, by the dot, an object"
                )


def _spare_name(position: int, taken: Collection[str]) -> str:
    name = f"column_{position}"
    while name in taken:
        name += "_"
    return name


# What `int` and `float` take beyond these (1_000, other scripts' digits, nan) is no number to a spreadsheet.
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,20}\s*", re.ASCII).fullmatch
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?\s*", re.ASCII).fullmatch
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _integer(cell: str) -> int | str:
    # 64 bits, signed or not, are what JSON encoders and decoders agree on.
    return value if _INTEGER(cell) and -(2**63) <= (value := int(cell)) < 2**64 else cell


def _number(cell: str) -> float | str:
    spelled = _NUMBER(cell)
    if spelled is None:
        return cell
    if spelled.lastindex is None and type(value := _integer(cell)) is int:  # neither a fraction nor an exponent
        return value
    return number if math.isfinite(number := float(cell)) else cell


def _boolean(cell: str) -> bool | str:
    return _BOOLEANS.get(cell.strip().lower(), cell)


def _json(cell: str) -> msgspec.Raw | str:
    try:
        text = cell.encode()
        msgspec.json.decode(text)  # finds more than format does: numbers beyond all range, half surrogate pairs
        return msgspec.Raw(msgspec.json.format(text, indent=-1))  # as it is spelled, but on one line
    except (msgspec.DecodeError, RecursionError):
        return cell


_CONVERTERS: dict[ColumnType, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "json": _json,
}
