"""Read CSV as a spreadsheet does, and convert each row to one line of JSON."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from shared.contracts.source import SourceFormat
from shared.sources import layout
from shared.sources.csv_cells import DEFAULT, ColumnType, converter, path_of
from shared.sources.encodings import describe_invalid
from shared.sources.records import MAX_QUOTED_BYTES, Record, Unreadable

# Bytes of a row, embedded newlines included. Four times the 256 KiB of a packed message, so every event that can be
# published can be read. Also the most that an unclosed quote can force the reader to buffer and parse again.
MAX_ROW_BYTES = 1 << 20

_BLANK = " \t\v\f"  # a line of these and line ends is blank


class _RowError(Exception):
    """The end of a row can't be found; the text says why."""


class _Rows:
    """The rows of a CSV file, and the line where each starts.

    An unclosed quote makes a parser read the rest of the file as one cell. The lines of the current row are kept, so
    that parsing can restart at the second line of a row without an end.
    """

    def __init__(self, blocks: Iterator[bytes], first_line: int) -> None:
        self.line = first_line  # where the current row starts
        self.raw: list[bytes] = []  # the lines of the current row
        self._blocks = blocks
        self._lines: deque[bytes] = deque()  # read but not parsed
        self.delimiter = ","
        self.has_more = True  # False after unquoted_lines() has reached the end

    def skip_lines(self, count: int) -> None:
        """Skip the lines of the file up to that number."""
        while self.line <= count and (self._lines or self.read_block()):
            self._lines.popleft()
            self.line += 1

    def find_start(self, columns: Collection[str], source_format: SourceFormat) -> bool:
        """Go to the header, or to the first row if there is no header; return False if there is none."""
        if source_format.skip_lines is not None:
            self.skip_lines(source_format.skip_lines)
        while self._lines or self.read_block():
            if self._lines[0].strip():
                break
            self._lines.popleft()
            self.line += 1
        else:
            return False
        if source_format.columns is not None:
            (first,) = self._head(1)
            self.delimiter = source_format.delimiter or layout.width_delimiter(first, len(source_format.columns))
            if tuple(layout.cells_of(first, self.delimiter)) == source_format.columns:
                self.skip_lines(self.line)  # this file has a header
            return True
        may_search = source_format.skip_lines is None
        header = layout.find_header(self._head(1), columns, source_format.delimiter)
        if columns and may_search and not header.matches:
            header = layout.find_header(self._head(layout.MAX_LINES), columns, source_format.delimiter)
        self.skip_lines(self.line + header.skipped - 1)
        self.delimiter = header.delimiter
        return True

    def _head(self, count: int) -> list[str]:
        """Return the next lines, at most that many; they stay to be parsed."""
        while len(self._lines) < count and (block := next(self._blocks, b"")):
            self._lines.extend(io.BytesIO(block))
        return [_text(line) for line in islice(self._lines, count)]

    def read_block(self) -> bool:
        """Read the next block, to be parsed; return False at the end."""
        self._lines.extend(io.BytesIO(next(self._blocks, b"")))
        return bool(self._lines)

    def __iter__(self) -> Iterator[list[str] | str]:
        """Yield the cells of each row that was read, none for an empty line; a string for an unreadable row."""
        # The default limit of the csv module is 128 KiB per cell. The limit per row is checked before parsing.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
        self._next_row()
        while self._lines:
            try:
                lines = self._feed()
                if self.delimiter == layout.BLANKS:
                    lines = map(layout.collapse_blanks, lines)
                for cells in csv.reader(lines, delimiter=self.delimiter):
                    yield cells
                    self._next_row()
                    if not self._lines:
                        break
            except (_RowError, csv.Error) as error:
                self._lines.extendleft(reversed(self.raw[1:]))
                del self.raw[1:]
                yield _explain(error)
                self._next_row()

    def unquoted_lines(self) -> Iterator[tuple[int, str]]:
        """Yield number and text of each line of the next blocks without quotes, where every line is a row.

        Most files have no quotes, and are read in half the time this way. Stop at a block that has a quote or needs
        another check; `__iter__` parses it.
        """
        while not self._lines and (block := next(self._blocks, b"")):
            normalized = block.replace(b"\r\n", b"\n")
            try:
                if b'"' in normalized or b"\r" in normalized or len(normalized) > MAX_ROW_BYTES:
                    raise ValueError
                lines = normalized.decode().removesuffix("\n").split("\n")
            except ValueError:  # includes UnicodeDecodeError
                self._lines.extend(io.BytesIO(block))
                return
            if self.delimiter == layout.BLANKS:
                lines = list(map(layout.collapse_blanks, lines))
            yield from enumerate(lines, self.line)
            self.line += len(lines)
        self.has_more = bool(self._lines)

    def _next_row(self) -> None:
        self.line += len(self.raw)
        self.raw.clear()

    def _feed(self) -> Iterator[str]:
        """Yield lines to the parser and keep those of the current row."""
        raw = self.raw
        size = 0
        while self._lines or self.read_block():
            line = self._lines.popleft()
            size = size + len(line) if raw else len(line)
            raw.append(line)
            if size > MAX_ROW_BYTES:
                lines = f", {len(raw)} lines of it (is a quote not closed?)" if len(raw) > 1 else ""
                raise _RowError(f"found a row longer than 1 MiB{lines}, expected at most 1 MiB")
            yield _text(line)
        if raw:  # the parser needs more input within a row
            raise _RowError("found a quote that is never closed, expected a closing one before the file ends")


def read_csv(
    blocks: Iterable[bytes],
    source: str,
    columns: Mapping[str, ColumnType] | None = None,
    first_line: int = 1,
    source_format: SourceFormat = DEFAULT,
) -> Iterator[Record | Unreadable]:
    """Read the rows below a header row as JSON objects, with the header's names as keys.

    Empty cells, and cells missing at the end of a row, are null. A dotted name is nested: `actor.login` becomes
    `{"actor": {"login": ...}}`, unless `columns` has it quoted. A repeated name gets a number: `name_2`. A column
    without a name is called `column_N`, with its position N from 1; its empty cells are left out. Empty rows are
    skipped. A cell that doesn't match the type of its column stays a string, which the contract's `type` check reports.

    Args:
        blocks: blocks of whole lines, line ends included, without a byte order mark, as UTF-8.
        source: the file name, for records and error texts.
        columns: the type of each column, by its path in the record. Columns without a type are text.
        first_line: the number of the first line.
        source_format: delimiter, lines before the header, column names and the notation of numbers; its encoding is
            the one that `blocks` were converted from.

    Raises:
        SourceError: the header is invalid: unreadable, a name for both a value and an object, or none of the names in
            `columns`.
    """
    columns = columns or {}
    rows = _Rows(iter(blocks), first_line)
    if not rows.find_start([".".join(path_of(column)) for column in columns], source_format):
        return
    header: list[str] | str | None = None
    if source_format.columns is not None:
        header = list(source_format.columns)
    else:
        while (header := next((cells for cells in rows if any(cells)), None)) is None:
            if not rows.read_block():
                return
    convert = converter(header, f"{source}, line {rows.line}", columns, source_format)
    encode = msgspec.json.Encoder().encode
    while rows.has_more:
        for cells in rows:
            if isinstance(cells, str):
                yield Unreadable(source, rows.line, cells, rows.raw[0][:MAX_QUOTED_BYTES])
            elif any(cells) and not rows.raw[0].isspace():
                try:
                    raw = encode(convert(cells))
                except UnicodeEncodeError:
                    whole = b"".join(rows.raw)
                    problem = describe_invalid(whole, source_format.encoding)
                    yield Unreadable(source, rows.line, problem, whole[:MAX_QUOTED_BYTES])
                else:
                    yield Record(raw, source, rows.line)
        for number, line in rows.unquoted_lines():
            if line.strip(_BLANK) and any(row := line.split(rows.delimiter)):
                yield Record(encode(convert(row)), source, number)


def _text(line: bytes) -> str:
    # Invalid UTF-8 becomes surrogates: the end of the row is still found, and encoding it as JSON fails.
    return line.decode(errors="surrogateescape")


def _explain(error: Exception) -> str:
    if "new-line character" in str(error):
        return "found a carriage return inside a row, expected rows to end in LF or CRLF"
    return str(error)
