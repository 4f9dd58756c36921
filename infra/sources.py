"""Find event logs and read them as a stream: CSV or JSON, plain or gzip, from files or standard input."""

from __future__ import annotations

import glob
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO, Literal, NoReturn

import msgspec

from infra.csv_source import MAX_QUOTED, ColumnType, Record, Unreadable, read_csv
from shared.errors import SourceError

__all__ = ["ColumnType", "Record", "SourceReader", "Unreadable", "find_sources"]

_FORMATS: dict[str, Literal["csv", "json"]] = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}

MAX_VALUE = 64 << 20  # bytes of a line or a JSON value that we are ready to hold in memory
_BUFFER = 1 << 18
_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_DAMAGE = (OSError, EOFError, zlib.error)  # what reading a cut or corrupt gzip file, or a failing disk, raises


class _DamagedError(Exception):
    def __init__(self, line: int, cause: Exception) -> None:
        super().__init__(f"found damaged data ({cause}), expected more; the rest of the file is left out")
        self.line = line


def find_sources(source: str) -> list[Path | None]:
    """Return the files a `--source` names, sorted; None stands for standard input.

    Args:
        source: a file; a directory, for the event logs in it and below, hidden ones left out; a glob pattern; or "-".

    Raises:
        SourceError: nothing fits; the text says what was found.
    """
    if source == "-":
        return [None]
    if source and (files := _expand(Path(source))):
        return [*files]
    if not glob.has_magic(source):
        raise SourceError(f"{source!r}: found nothing there, expected a file, a directory, a glob pattern or -")
    matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not matches:
        raise SourceError(f"{source!r}: found no file that matches this pattern")
    return [*dict.fromkeys(file for match in matches for file in _expand(Path(match)) or [Path(match)])]


def _expand(path: Path) -> list[Path]:
    """Return the logs in a directory and below, any other file as it is, nothing where nothing is."""
    try:
        if not S_ISDIR(path.stat().st_mode):
            return [path]
    except PermissionError as error:
        _refuse(error)
    except OSError:
        return []
    found: list[Path] = []
    others: list[str] = []
    for folder, folders, files in os.walk(path, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if _format_of(name) and not name.startswith("."):
                found.append(Path(folder, name))
            else:
                others.append(name)
    if not found:
        what = f"{len(others)} other files ({', '.join(sorted(others)[:3])}, …)" if others else "no files"
        raise SourceError(f"{path}: found {what}, expected *.csv, *.json, *.jsonl or *.ndjson, each also with .gz")
    return sorted(found)


def _refuse(error: OSError) -> NoReturn:
    raise SourceError(f"{error.filename}: {error.strerror}") from error


def _format_of(name: str) -> Literal["csv", "json"] | None:
    return _FORMATS.get(Path(name.lower().removesuffix(".gz")).suffix)


class SourceReader:
    """The events of some files, one after the other, in little memory.

    Attributes:
        total_bytes: the files' sizes on disk together; None where one is standard input or a pipe.
        bytes_read: how far reading is, in the same terms; what is read ahead (at most 256 KiB) counts as read.
    """

    def __init__(
        self,
        sources: Sequence[Path | None],
        *,
        format: Literal["auto", "csv", "json"] = "auto",
        columns: Mapping[str, ColumnType] | None = None,
        stdin: BinaryIO | None = None,
    ) -> None:
        """Check that every file can be read, before any of them is.

        Args:
            sources: of `find_sources`.
            format: "auto" goes by the name, and by the content where the name doesn't tell.
            columns: how to read the cells of CSV files, by header name; text where a name isn't in it.
            stdin: what None among the sources stands for; the process's standard input by default.

        Raises:
            SourceError: a file isn't there, is a directory or may not be read.
        """
        sizes = [None if path is None else _size(path) for path in sources]
        known = [size for size in sizes if size is not None]
        self.total_bytes = sum(known) if len(known) == len(sizes) else None
        self.bytes_read = 0
        self._sources, self._format, self._columns, self._stdin = sources, format, columns, stdin

    def __iter__(self) -> Iterator[Record | Unreadable]:
        """Yield the events of every source in order, and what of it can't be read.

        Raises:
            SourceError: a file went away meanwhile, or the header of a CSV file can't be used.
        """
        self.bytes_read = 0
        for path in self._sources:
            name = "stdin" if path is None else str(path)
            with ExitStack() as stack:
                try:
                    raw = (
                        self._stdin or sys.stdin.buffer
                        if path is None
                        else stack.enter_context(path.open("rb", buffering=0))
                    )
                except OSError as error:
                    raise SourceError(f"{name}: {error.strerror}") from error
                try:
                    yield from self._events(_unpacked(partial(self._read, raw), stack), name)
                except (_DamagedError, *_DAMAGE) as error:
                    damage = error if isinstance(error, _DamagedError) else _DamagedError(1, error)
                    yield Unreadable(name, damage.line, str(damage), b"")

    def _read(self, raw: Any, size: int) -> bytes:
        # read1 returns what a pipe holds, where read would wait for more.
        data: bytes = getattr(raw, "read1", raw.read)(size)
        self.bytes_read += len(data)
        return data

    def _events(self, file: io.BufferedReader, name: str) -> Iterator[Record | Unreadable]:
        number, start = _find_content(file)
        if start.startswith(_UTF16_MARKS):
            return iter([Unreadable(name, number, "found UTF-16 text, expected UTF-8", start[:MAX_QUOTED])])
        bracket = start.lstrip()[:1]
        format = _format_of(name) if self._format == "auto" else self._format
        if format == "csv" or not (format or bracket in (b"{", b"[")):
            return read_csv(_lines(file, number), name, self._columns, number)
        if bracket == b"{":
            return _read_objects(file, name, number)
        return _read_values(file, name) if bracket == b"[" else _read_lines(_lines(file, number), name, number)


def _size(path: Path) -> int | None:
    """Return the size of a file that can be read; None for a pipe, which shouldn't be opened more than once."""
    try:
        status = path.stat()
        if S_ISDIR(status.st_mode):
            raise SourceError(f"{path}: found a directory, expected a file")
        if not S_ISREG(status.st_mode):
            return None
        path.open("rb").close()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    return status.st_size


class _Raw(io.RawIOBase):
    """What a BufferedReader needs, made of a function that reads at most so many bytes."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unpacked(read: Callable[[int], bytes], stack: ExitStack) -> io.BufferedReader:
    file: io.BufferedReader = io.BufferedReader(_Raw(read), _BUFFER)
    if file.peek(2).startswith(_GZIP_MAGIC):
        # read1, since read loses what it has gathered when it comes upon damage.
        unpack = stack.enter_context(gzip.GzipFile(fileobj=file, mode="rb")).read1
        file = io.BufferedReader(_Raw(unpack), _BUFFER)
    return file


def _find_content(file: io.BufferedReader) -> tuple[int, bytes]:
    """Pass over a byte order mark and blank lines; return the number of the next line and some of its bytes."""
    number = 1
    if file.peek(3).startswith(_UTF8_MARK):
        file.read(len(_UTF8_MARK))
    while chunk := file.peek(1):
        blank = len(chunk) - len(chunk.lstrip())
        if blank < len(chunk):  # content: the blanks right before it belong to its line
            blank = chunk.rfind(b"\n", 0, blank) + 1
        number += chunk.count(b"\n", 0, blank)
        file.read(blank)
        if blank < len(chunk):
            return number, chunk[blank:]
    return number, b""


def _lines(file: io.BufferedReader, number: int) -> Iterator[bytes]:
    """Yield the lines with their ends, `number` the first; of one longer than `MAX_VALUE` only the beginning."""
    try:
        for line in iter(partial(file.readline, MAX_VALUE + 1), b""):
            yield line
            number += 1
            rest = line if len(line) > MAX_VALUE else b""
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(_BUFFER)
    except _DAMAGE as error:
        raise _DamagedError(number, error) from error


def _read_objects(file: io.BufferedReader, name: str, number: int) -> Iterator[Record | Unreadable]:
    """Tell one object a line, passed on as it is, from objects that have to be looked for, by the first two lines."""
    lines = _lines(file, number)
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
            return _read_values(file, name, b"".join(ahead))
    return _read_lines(chain(ahead, lines), name, number)


def _read_lines(lines: Iterator[bytes], name: str, number: int) -> Iterator[Record | Unreadable]:
    make = tuple.__new__  # what Record(...) calls in the end, at a third of the cost
    for at, line in enumerate(lines, number):
        raw = line.rstrip(b"\r\n")
        if len(raw) > MAX_VALUE:
            problem = "found a line longer than 64 MiB, expected one event a line"
            yield Unreadable(name, at, problem, raw[:MAX_QUOTED])
        elif raw and not raw.isspace():
            yield make(Record, (raw, name, at))


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
        if held > MAX_VALUE:
            raise _SyntaxError("found a value longer than 64 MiB, or one that is never closed")
        try:
            while size <= held and (piece := self._file.read1(_BUFFER)):
                pieces.append(piece)
                size += len(piece)
        except _DAMAGE:
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


def _read_values(file: io.BufferedReader, name: str, head: bytes = b"") -> Iterator[Record | Unreadable]:
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
                try:
                    line = msgspec.json.format(raw, indent=-1)
                except (msgspec.DecodeError, RecursionError) as error:
                    yield Unreadable(name, ordinal, f"found no JSON value: {error}", raw[:MAX_QUOTED])
                else:
                    yield Record(line, name, ordinal)
                ordinal, separate = ordinal + 1, True
    except _SyntaxError as error:
        yield Unreadable(name, ordinal, f"{error}; the rest of the file is left out", text.data[text.at :][:MAX_QUOTED])
    except _DAMAGE as error:
        raise _DamagedError(ordinal, error) from error
