"""JSON out of a stream of bytes: an object a line, or values laid out anyhow, never more of it held than one value."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, count, repeat

import msgspec

from infra.sources.records import MAX_QUOTED_CHARS, Record, Unreadable
from shared.json_nesting import MAX_NESTING_DEPTH, too_deep

MAX_VALUE_BYTES = 64 << 20  # bytes of a line or a JSON value that we are ready to hold in memory
BUFFER = 1 << 18  # bytes read at once
DAMAGE = (OSError, EOFError, zlib.error)  # what reading a cut or corrupt gzip file, or a failing disk, raises


class DamagedError(Exception):
    """The data ends too early or is corrupt; `line` is where."""

    def __init__(self, line: int, cause: Exception) -> None:
        super().__init__(f"found damaged data ({cause}), expected more; the rest of the file is left out")
        self.line = line


def lines_of(file: io.BufferedReader, number: int) -> Iterator[bytes]:
    """Yield the lines with their ends, `number` the first; of one longer than `MAX_VALUE_BYTES` only the beginning."""
    try:
        for line in iter(partial(file.readline, MAX_VALUE_BYTES + 1), b""):
            yield line
            number += 1
            rest = line if len(line) > MAX_VALUE_BYTES else b""
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(BUFFER)
    except DAMAGE as error:
        raise DamagedError(number, error) from error


def blocks_of(file: io.BufferedReader, number: int) -> Iterator[bytes]:
    """Yield the same lines in blocks; of a line longer than `MAX_VALUE_BYTES`, its beginning or more."""
    begun: list[bytes] = []  # pieces of a line whose end hasn't come yet
    size = 0
    try:
        while data := file.read1(BUFFER):
            if end := data.rfind(b"\n") + 1:
                block = b"".join((*begun, data[:end]))
                yield block
                number += block.count(b"\n")
                begun, size, data = [], 0, data[end:]
            if data and size <= MAX_VALUE_BYTES:
                begun.append(data)
                size += len(data)
        if begun:
            yield b"".join(begun)
    except DAMAGE as error:
        raise DamagedError(number, error) from error


def read_objects(file: io.BufferedReader, name: str, number: int) -> Iterator[Record | Unreadable]:
    """Tell one object a line, passed on as it is, from objects that have to be looked for, by the first two lines."""
    lines = lines_of(file, number)
    first = next(lines)
    ahead = [first]
    if not _is_json(first):
        for line in lines:
            ahead.append(line)
            if not line.isspace():
                break
        second = b"".join(ahead[1:]).lstrip()[:1]
        end, depth = _scan(first, 0, 0)
        several_on_the_only_line = not (second or depth) and first[end:].lstrip().startswith(b"{")
        if several_on_the_only_line or second not in (b"", b"{"):
            return read_values(file, name, b"".join(ahead))
    return read_lines(chain(ahead, blocks_of(file, number + len(ahead))), name, number)


def read_lines(blocks: Iterable[bytes], name: str, number: int) -> Iterator[Record | Unreadable]:
    """Yield each line that isn't blank as it is, without decoding it; the checks judge it later.

    Args:
        blocks: of whole lines; only the last may go without its newline.
        name: the file's.
        number: of the first line.
    """
    for block in blocks:
        lines = block.removesuffix(b"\n").split(b"\n")
        if b"\r" in block or len(block) > MAX_VALUE_BYTES or not all(map(bytes.strip, lines)):
            yield from _look_at_each(lines, name, number)
        else:
            # The same without a step of Python for each line, in a fifth of the time. Record(...) calls tuple.__new__.
            yield from map(tuple.__new__, repeat(Record), zip(lines, repeat(name), count(number), strict=False))
        number += len(lines)


def _look_at_each(lines: list[bytes], name: str, number: int) -> Iterator[Record | Unreadable]:
    for at, line in enumerate(lines, number):
        raw = line.rstrip(b"\r")
        if len(raw) > MAX_VALUE_BYTES:
            problem = "found a line longer than 64 MiB, expected one event a line"
            yield Unreadable(name, at, problem, raw[:MAX_QUOTED_CHARS])
        elif raw and not raw.isspace():
            yield Record(raw, name, at)


def _record(raw: bytes, name: str, ordinal: int) -> Record | Unreadable:
    """Return a value on one line."""
    if too_deep(raw):
        problem = f"found over {MAX_NESTING_DEPTH} levels of nesting, expected at most {MAX_NESTING_DEPTH}"
    else:
        try:
            return Record(msgspec.json.format(raw, indent=-1), name, ordinal)
        except msgspec.DecodeError as error:
            problem = f"found no JSON value: {error}"
    return Unreadable(name, ordinal, problem, raw[:MAX_QUOTED_CHARS])


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class _SyntaxError(Exception):
    pass


_CONTENT = re.compile(rb"[^ \t\r\n]").search
# Possessive, so that one pass decides, however long the text.
_TO_BRACKET = re.compile(rb'(?s)[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+[\[\]{}]').match
_SCALAR = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s\[\]{}",:]++').match


def _scan(data: bytes, at: int, depth: int) -> tuple[int, int]:
    """Go from bracket to bracket to where the value ends (the depth is 0 then) or the data does."""
    while piece := _TO_BRACKET(data, at):
        at = piece.end()
        depth += 1 if data[at - 1] in b"[{" else -1
        if depth == 0:
            break
    return at, depth


class _Text:
    """JSON text, of which no more is held than the value being read."""

    def __init__(self, file: io.BufferedReader, data: bytes) -> None:
        self.data, self.at, self._file = data, 0, file

    def _more(self) -> bool:
        """Read as much again as is held, so that looking at it all again takes linear time; False at the end."""
        pieces = [self.data[self.at :]]
        held, size = len(pieces[0]), 0
        if held > MAX_VALUE_BYTES:
            raise _SyntaxError("found a value longer than 64 MiB, or one that is never closed")
        try:
            while size <= held and (piece := self._file.read1(BUFFER)):
                pieces.append(piece)
                size += len(piece)
        except DAMAGE:
            if not size:
                raise  # else it comes again when what was read before it is used up
        self.data, self.at = b"".join(pieces), 0
        return size > 0

    def next_byte(self) -> bytes:
        """Go to the next byte that isn't blank and return it; nothing at the end."""
        while not (found := _CONTENT(self.data, self.at)):
            self.at = len(self.data)
            if not self._more():
                return b""
        self.at = found.start()
        return found[0]

    def value(self, first: bytes) -> bytes:
        """Go beyond the value that begins here and return it."""
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
            if complete or not self._more():
                break
        if depth or not size:
            raise _SyntaxError(f"found {first.decode(errors='replace')!r} ..., expected a complete JSON value")
        self.at += size
        return self.data[self.at - size : self.at]


def read_values(file: io.BufferedReader, name: str, head: bytes = b"") -> Iterator[Record | Unreadable]:
    """Read JSON values laid out anyhow: the elements of arrays, objects over several lines or several on a line.

    They are cut out by their brackets, not decoded: numbers stay as they are spelled, at any size, and an error inside
    a value doesn't cost those after it.
    """
    text = _Text(file, head)
    ordinal, in_array, separate = 1, False, False
    try:
        while (byte := text.next_byte()) or in_array:
            if in_array and separate and byte not in (b",", b"]"):
                found = byte.decode(errors="replace") or "the end of the file"
                raise _SyntaxError(f"found {found} after an array's element, expected a comma or ]")
            if in_array and byte in (b",", b"]") and (separate or byte == b"]"):
                in_array, separate = byte == b",", False
                text.at += 1
            elif byte == b"[" and not in_array:
                in_array, separate = True, False
                text.at += 1
            else:
                raw = text.value(byte)
                yield _record(raw, name, ordinal)
                ordinal, separate = ordinal + 1, True
    except _SyntaxError as error:
        yield Unreadable(
            name, ordinal, f"{error}; the rest of the file is left out", text.data[text.at :][:MAX_QUOTED_CHARS]
        )
    except DAMAGE as error:
        raise DamagedError(ordinal, error) from error
