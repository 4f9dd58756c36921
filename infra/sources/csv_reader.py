"""Read CSV the way a spreadsheet would, each row becoming one line of JSON."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from infra.sources.csv_cells import ColumnType, converter
from infra.sources.records import MAX_QUOTED_CHARS, Record, Unreadable

# Bytes of a row, embedded newlines included. Four times the 256 KiB that fit an envelope, so nothing that could be
# published is lost; and all that an unclosed quote can make us hold and read again.
MAX_ROW_BYTES = 1 << 20


_BLANK = " \t\v\f"  # what, with line ends, makes bytes a blank line


class _RowError(Exception):
    """A row whose end can't be found; the text says why."""


class _Rows:
    """The rows of a CSV file, and where each came from.

    A quote that is never closed makes a parser take the rest of the file for one cell. So the lines of the row being
    read are kept, and when it turns out to have no end they are read again from its second line on.
    """

    def __init__(self, blocks: Iterator[bytes], first_line: int) -> None:
        self.line = first_line  # where the current row starts
        self.raw: list[bytes] = []  # the lines of the current row
        self._blocks = blocks
        self._lines: deque[bytes] = deque()  # at hand, not parsed yet
        self.delimiter = ","
        self.more = True  # until plain() has come to the end

    def begin(self) -> bool:
        """Go to the first line that isn't blank, and tell by it what divides the cells; False if there is none."""
        while self._lines or self.read():
            if self._lines[0].strip():
                self.delimiter = _delimiter(self._lines[0])
                return True
            self._lines.popleft()
            self.line += 1
        return False

    def read(self) -> bool:
        """Take the next block at hand, to be parsed; False at the end."""
        self._lines.extend(io.BytesIO(next(self._blocks, b"")))
        return bool(self._lines)

    def __iter__(self) -> Iterator[list[str] | str]:
        """Yield the cells of the rows at hand, none for an empty line; for a row without an end what is wrong."""
        # The module's own limit is 128 KiB a cell. Ours is on the row, and it is checked before the parser sees it.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
        self._next_row()
        while self._lines:
            try:
                for cells in csv.reader(self._feed(), delimiter=self.delimiter):
                    yield cells
                    self._next_row()
                    if not self._lines:
                        break
            except (_RowError, csv.Error) as error:
                self._lines.extendleft(reversed(self.raw[1:]))
                del self.raw[1:]
                yield _explain(error)
                self._next_row()

    def plain(self) -> Iterator[tuple[int, str]]:
        """Yield number and text of the lines of the next blocks while there are no quotes, and each line is a row.

        That is all of a file as most programs write it, read in half the time. A block that has a quote, or anything
        else to be looked at, is at hand afterwards.
        """
        while not self._lines and (block := next(self._blocks, b"")):
            bare = block.replace(b"\r\n", b"\n")
            try:
                if b'"' in bare or b"\r" in bare or len(bare) > MAX_ROW_BYTES:
                    raise ValueError
                lines = bare.decode().removesuffix("\n").split("\n")
            except ValueError:  # of which UnicodeDecodeError is one
                self._lines.extend(io.BytesIO(block))
                return
            yield from enumerate(lines, self.line)
            self.line += len(lines)
        self.more = bool(self._lines)

    def _next_row(self) -> None:
        self.line += len(self.raw)
        self.raw.clear()

    def _feed(self) -> Iterator[str]:
        raw = self.raw
        size = 0
        while self._lines or self.read():
            line = self._lines.popleft()
            size = size + len(line) if raw else len(line)
            raw.append(line)
            if size > MAX_ROW_BYTES:
                lines = f", {len(raw)} lines of it (is a quote not closed?)" if len(raw) > 1 else ""
                raise _RowError(f"found a row longer than 1 MiB{lines}, expected at most 1 MiB")
            # Bytes that aren't UTF-8 become surrogates: the row's end is still found, encoding it as JSON then fails.
            yield line.decode(errors="surrogateescape")
        if raw:  # the parser asks for more in the middle of a row
            raise _RowError("found a quote that is never closed, expected a closing one before the file ends")


def read_csv(
    blocks: Iterable[bytes], source: str, columns: Mapping[str, ColumnType] | None = None, first_line: int = 1
) -> Iterator[Record | Unreadable]:
    """Read the rows below a header row as JSON objects, keyed by the header's names.

    An empty cell is null, and so is one missing at the end of a row. A dot in a name nests: `actor.login` becomes
    `{"actor": {"login": ...}}`. A cell whose column has no name is called `column_N`, N its position from 1, and is
    there only when it isn't empty. Rows without any content are skipped. A cell that doesn't spell what `columns`
    says stays a string, for the contract's `type` check to find.

    Args:
        blocks: of whole lines of the file, line ends included, no byte order mark.
        source: the file's name, for records and errors.
        columns: by header name, how to read the cells; text where a name isn't in it.
        first_line: the number of the first line.

    Raises:
        SourceError: the header can't be used: unreadable, a name twice, a name that is a value and an object, or none
            of the names in `columns`.
    """
    rows = _Rows(iter(blocks), first_line)
    if not rows.begin():
        return
    while (header := next((cells for cells in rows if any(cells)), None)) is None:
        if not rows.read():
            return
    convert = converter(header, f"{source}, line {rows.line}", columns or {})
    encode = msgspec.json.Encoder().encode
    make = tuple.__new__  # what Record(...) calls in the end, at a third of the cost
    while rows.more:
        for cells in rows:
            if isinstance(cells, str):
                yield Unreadable(source, rows.line, cells, rows.raw[0][:MAX_QUOTED_CHARS])
            elif any(cells) and not rows.raw[0].isspace():
                try:
                    raw = encode(convert(cells))
                except UnicodeEncodeError:
                    yield _not_utf8(source, rows)
                else:
                    yield make(Record, (raw, source, rows.line))
        for number, line in rows.plain():
            if line.strip(_BLANK) and any(row := line.split(rows.delimiter)):
                yield make(Record, (encode(convert(row)), source, number))


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
    return Unreadable(source, rows.line, f"found {found}, expected UTF-8", raw[:MAX_QUOTED_CHARS])
