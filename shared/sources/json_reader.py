"""Stream JSON values from a file: one object per line, or values in any layout, with one value in memory at a time."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from operator import itemgetter

import msgspec

from shared.json_nesting import MAX_NESTING_DEPTH, too_deep
from shared.sources.records import MAX_QUOTED_BYTES, Block, Piece, Record, Unreadable

MAX_VALUE_BYTES = 64 << 20  # the longest line or JSON value that is held in memory
BUFFER_BYTES = 1 << 18  # bytes per read
DAMAGE_ERRORS = (OSError, EOFError, zlib.error)  # raised by a truncated or corrupt gzip file, or a failing disk


class DamagedError(Exception):
    """The data is truncated or corrupt; `line` is the line or ordinal of the damage."""

    def __init__(self, line: int, cause: Exception) -> None:
        super().__init__(f"found damaged data ({cause}), expected more; the rest of the file is skipped")
        self.line = line


def lines_of(file: io.BufferedReader, number: int) -> Iterator[bytes]:
    """Yield lines with their line ends; `number` is that of the first. Lines above `MAX_VALUE_BYTES` are cut there."""
    try:
        for line in iter(partial(file.readline, MAX_VALUE_BYTES + 1), b""):
            yield line
            number += 1
            skipped = line if len(line) > MAX_VALUE_BYTES else b""
            while skipped and not skipped.endswith(b"\n"):
                skipped = file.readline(BUFFER_BYTES)
    except DAMAGE_ERRORS as error:
        raise DamagedError(number, error) from error


def blocks_of(file: io.BufferedReader, number: int) -> Iterator[bytes]:
    """Yield blocks of whole lines; `number` is that of the first. Lines above `MAX_VALUE_BYTES` are cut."""
    try:
        for block in _uncounted_blocks(file):
            yield block
            number += block.count(b"\n")
    except DAMAGE_ERRORS as error:
        raise DamagedError(number, error) from error


def _uncounted_blocks(file: io.BufferedReader) -> Iterator[bytes]:
    """Yield blocks like `blocks_of`, but let `DAMAGE_ERRORS` through: counting takes as long as splitting."""
    partial_line: list[bytes] = []
    size = 0
    while data := file.read1(BUFFER_BYTES):
        if end := data.rfind(b"\n") + 1:
            yield b"".join((*partial_line, data[:end]))
            partial_line, size, data = [], 0, data[end:]
        if data and size <= MAX_VALUE_BYTES:
            partial_line.append(data)
            size += len(data)
    if partial_line:
        yield b"".join(partial_line)


def read_objects(file: io.BufferedReader, name: str, number: int) -> Iterator[Piece]:
    """Read one object per line, or objects in any layout; the first two lines decide which."""
    lines = lines_of(file, number)
    first = next(lines)
    head = [first]
    if not _is_json(first):
        for line in lines:
            head.append(line)
            if not line.isspace():
                break
        second = b"".join(head[1:]).lstrip()[:1]
        end, depth = _scan(first, 0, 0)
        several_on_the_only_line = not (second or depth) and first[end:].lstrip().startswith(b"{")
        if several_on_the_only_line or second not in (b"", b"{"):
            return read_values(file, name, b"".join(head))
    return _read_lines(chain(head, _uncounted_blocks(file)), name, number)


def read_lines(file: io.BufferedReader, name: str, number: int) -> Iterator[Piece]:
    """Yield each non-blank line unchanged; it is not decoded or validated. `number` is that of the first."""
    return _read_lines(_uncounted_blocks(file), name, number)


def _read_lines(blocks: Iterable[bytes], name: str, number: int) -> Iterator[Piece]:
    """Yield the lines of blocks of whole lines; the last may lack its line end."""
    try:
        for block in blocks:
            lines = _split(block)
            if b"\r" in block or len(block) > MAX_VALUE_BYTES or not all(map(bytes.strip, lines)):
                yield from _check_lines(lines, name, number)
            else:
                yield Block(lines, name, range(number, number + len(lines)))
            number += len(lines)
    except DAMAGE_ERRORS as error:
        raise DamagedError(number, error) from error


_without_end = itemgetter(slice(None, -1))


def _split(block: bytes) -> list[bytes]:
    """Return the lines of a block, without line ends."""
    if len(block) > 2 * BUFFER_BYTES:  # it has a long line, whose copies add up
        return block.removesuffix(b"\n").split(b"\n")
    ended = block if block.endswith(b"\n") else block + b"\n"
    return list(map(_without_end, io.BytesIO(ended).readlines()))  # takes half the time of `split`


def _check_lines(lines: list[bytes], name: str, number: int) -> Iterator[Record | Unreadable]:
    """Yield the non-blank lines without carriage returns; report lines that are too long."""
    for at, line in enumerate(lines, number):
        raw = line.rstrip(b"\r")
        if len(raw) > MAX_VALUE_BYTES:
            problem = "found a line longer than 64 MiB, expected one event per line"
            yield Unreadable(name, at, problem, raw[:MAX_QUOTED_BYTES])
        elif raw and not raw.isspace():
            yield Record(raw, name, at)


def _record(raw: bytes, name: str, ordinal: int) -> Record | Unreadable:
    """Return a JSON value as a record on one line, or as unreadable if it is invalid or nested too deep."""
    if too_deep(raw):
        problem = f"found over {MAX_NESTING_DEPTH} levels of nesting, expected at most {MAX_NESTING_DEPTH}"
    else:
        try:
            return Record(msgspec.json.format(raw, indent=-1), name, ordinal)
        except msgspec.DecodeError as error:
            problem = f"found no JSON value: {error}"
    return Unreadable(name, ordinal, problem, raw[:MAX_QUOTED_BYTES])


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class _SyntaxError(Exception):
    """The next value can't be found, so the rest of the file is skipped."""


_NON_BLANK = re.compile(rb"[^ \t\r\n]").search
# Possessive quantifiers prevent backtracking, so matching takes linear time.
_TO_BRACKET = re.compile(rb'(?s)[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+[\[\]{}]').match
_SCALAR = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s\[\]{}",:]++').match


def _scan(data: bytes, at: int, depth: int) -> tuple[int, int]:
    """Scan from bracket to bracket to the end of the value or of the data; return the position and the depth there.

    The depth is 0 at the end of the value.
    """
    while piece := _TO_BRACKET(data, at):
        at = piece.end()
        depth += 1 if data[at - 1] in b"[{" else -1
        if depth == 0:
            break
    return at, depth


class _JsonText:
    """A position in JSON text; only the value at that position is in memory.

    Attributes:
        data: the part of the text that is in memory.
        at: the position in `data`.
    """

    def __init__(self, file: io.BufferedReader, data: bytes) -> None:
        self.data, self.at, self._file = data, 0, file

    def _read_more(self) -> bool:
        """Double the data in memory, so that repeated scans take linear time; return False at the end of the file."""
        pieces = [self.data[self.at :]]
        unread, size = len(pieces[0]), 0
        if unread > MAX_VALUE_BYTES:
            raise _SyntaxError("found a value longer than 64 MiB, or one that is never closed")
        try:
            while size <= unread and (piece := self._file.read1(BUFFER_BYTES)):
                pieces.append(piece)
                size += len(piece)
        except DAMAGE_ERRORS:
            if not size:
                raise  # otherwise the next read raises it again, after the data before it is used
        self.data, self.at = b"".join(pieces), 0
        return size > 0

    def skip_blanks(self) -> bytes:
        """Go to the next non-blank byte and return it; return b"" at the end of the file."""
        while not (found := _NON_BLANK(self.data, self.at)):
            self.at = len(self.data)
            if not self._read_more():
                return b""
        self.at = found.start()
        return found[0]

    def read_value(self, first: bytes) -> bytes:
        """Return the value that starts at the position, with `first` as its first byte, and go to its end."""
        size, depth = 0, 0
        while True:
            if first in (b"[", b"{"):
                end, depth = _scan(self.data, self.at + size, depth)
                complete = depth == 0
            else:
                scalar = _SCALAR(self.data, self.at)
                end = scalar.end() if scalar else self.at
                complete = self.at < end < len(self.data) or not (scalar or first == b'"')
            size = end - self.at
            if complete or not self._read_more():
                break
        if depth or not size:
            raise _SyntaxError(f"found {first.decode(errors='replace')!r} ..., expected a complete JSON value")
        self.at += size
        return self.data[self.at - size : self.at]


def read_values(file: io.BufferedReader, name: str, head: bytes = b"") -> Iterator[Record | Unreadable]:
    """Read JSON values in any layout: elements of arrays, objects over several lines or several objects per line.

    Values are found by their brackets and not decoded. Numbers of any size keep their spelling, and an error inside a
    value doesn't affect the values after it.

    Args:
        file: positioned after `head`.
        name: the file name.
        head: the data that was already read.
    """
    text = _JsonText(file, head)
    ordinal, in_array, after_element = 1, False, False
    try:
        while (byte := text.skip_blanks()) or in_array:
            if in_array and after_element and byte not in (b",", b"]"):
                found = byte.decode(errors="replace") or "the end of the file"
                raise _SyntaxError(f"found {found} after an array element, expected a comma or ]")
            if in_array and byte in (b",", b"]") and (after_element or byte == b"]"):
                in_array, after_element = byte == b",", False
                text.at += 1
            elif byte == b"[" and not in_array:
                in_array, after_element = True, False
                text.at += 1
            else:
                raw = text.read_value(byte)
                yield _record(raw, name, ordinal)
                ordinal, after_element = ordinal + 1, True
    except _SyntaxError as error:
        problem = f"{error}; the rest of the file is skipped"
        yield Unreadable(name, ordinal, problem, text.data[text.at :][:MAX_QUOTED_BYTES])
    except DAMAGE_ERRORS as error:
        raise DamagedError(ordinal, error) from error
