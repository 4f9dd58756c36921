"""Find source files and stream their events: CSV or JSON, plain or gzip, from files or standard input."""

from __future__ import annotations

import glob
import gzip
import io
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO, Literal, NoReturn

from shared.errors import SourceError
from shared.sources import json_reader
from shared.sources.csv_cells import ColumnType
from shared.sources.csv_reader import read_csv
from shared.sources.records import MAX_QUOTED_BYTES, Record, Unreadable

__all__ = ["ColumnType", "Record", "SourceReader", "Unreadable", "find_sources"]

_FORMATS: dict[str, Literal["csv", "json"]] = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}

_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


def find_sources(source: str) -> list[Path | None]:
    """Return the files that a `--source` option names, sorted; None stands for standard input.

    Args:
        source: a file; a directory, searched recursively without hidden files; a glob pattern; or "-".

    Raises:
        SourceError: no file matches.
    """
    if source == "-":
        return [None]
    if source and (files := _expand(Path(source))):
        return [*files]
    if not glob.has_magic(source):
        raise SourceError(f"{source!r}: found nothing, expected a file, a directory, a glob pattern or -")
    matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not matches:
        raise SourceError(f"{source!r}: found no file that matches, expected at least one")
    return [*dict.fromkeys(file for match in matches for file in _expand(Path(match)) or [Path(match)])]


def _expand(path: Path) -> list[Path]:
    """Return the source files below a directory, or the path itself if it is a file, or nothing if there is none."""
    try:
        if not S_ISDIR(path.stat().st_mode):
            return [path]
    except PermissionError as error:
        _raise_unreadable(error)
    except OSError:
        return []
    found: list[Path] = []
    others: list[str] = []
    for folder, folders, files in os.walk(path, onerror=_raise_unreadable):
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


def _raise_unreadable(error: OSError) -> NoReturn:
    raise SourceError(f"{error.filename}: can't be read ({error.strerror}), expected event logs") from error


def _format_of(name: str) -> Literal["csv", "json"] | None:
    return _FORMATS.get(Path(name.lower().removesuffix(".gz")).suffix)


class SourceReader:
    """Streams the events of files, one file after the other, in bounded memory.

    Attributes:
        total_bytes: the total size of the files on disk; None if one is standard input or a pipe.
        bytes_read: the bytes read from disk so far, including up to 256 KiB of read-ahead.
    """

    def __init__(
        self,
        sources: Sequence[Path | None],
        *,
        format: Literal["auto", "csv", "json"] = "auto",
        columns: Mapping[str, ColumnType] | None = None,
        stdin: BinaryIO | io.RawIOBase | None = None,
        stdin_name: str = "stdin",
    ) -> None:
        """Check that every file can be read before reading the first.

        Args:
            sources: the result of `find_sources`.
            format: "auto" detects the format from the name, or from the content if the name has no known suffix.
            columns: the type of each CSV column, by header name. Columns without a type are text.
            stdin: the file that None in `sources` stands for; the standard input of the process by default.
            stdin_name: its name in the results; like the name of a file, it determines the format.

        Raises:
            SourceError: a file is missing, is a directory or can't be read.
        """
        sizes = [None if path is None else _size(path) for path in sources]
        known = [size for size in sizes if size is not None]
        self.total_bytes = sum(known) if len(known) == len(sizes) else None
        self.bytes_read = 0
        self._sources, self._format, self._columns = sources, format, columns
        self._stdin, self._stdin_name = stdin, stdin_name

    def __iter__(self) -> Generator[Record | Unreadable, None, None]:
        """Yield the events of every source in order, and the pieces that can't be read.

        Close the generator if it isn't read to its end; that closes the current file.

        Raises:
            SourceError: a file has disappeared, or the header of a CSV file is invalid.
        """
        self.bytes_read = 0
        for path in self._sources:
            name = self._stdin_name if path is None else str(path)
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
                    yield from self._events(_decompressed(partial(self._read, raw), stack), name)
                except json_reader.DamagedError as damage:
                    yield Unreadable(name, damage.line, str(damage), b"")
                except json_reader.DAMAGE_ERRORS as error:
                    yield Unreadable(name, 1, str(json_reader.DamagedError(1, error)), b"")

    def _read(self, raw: Any, size: int) -> bytes:
        # read1 returns what a pipe holds; read would block until it has `size` bytes.
        data: bytes = getattr(raw, "read1", raw.read)(size)
        self.bytes_read += len(data)
        return data

    def _events(self, file: io.BufferedReader, name: str) -> Iterator[Record | Unreadable]:
        number, start = _skip_blank_lines(file)
        if start.startswith(_UTF16_MARKS):
            return iter([Unreadable(name, number, "found UTF-16 text, expected UTF-8", start[:MAX_QUOTED_BYTES])])
        bracket = start.lstrip()[:1]
        format = _format_of(name) if self._format == "auto" else self._format
        if format == "csv" or not (format or bracket in (b"{", b"[")):
            return read_csv(json_reader.blocks_of(file, number), name, self._columns, number)
        if bracket == b"{":
            return json_reader.read_objects(file, name, number)
        if bracket == b"[":
            return json_reader.read_values(file, name)
        return json_reader.read_lines(json_reader.blocks_of(file, number), name, number)


def _size(path: Path) -> int | None:
    """Return the size of a readable file; None for a pipe, which must be opened only once."""
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
    """Adapts a function that reads at most N bytes to the raw file that BufferedReader requires."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _decompressed(read: Callable[[int], bytes], stack: ExitStack) -> io.BufferedReader:
    """Return a buffered file of the decompressed data; the stack closes it."""
    file: io.BufferedReader = stack.enter_context(io.BufferedReader(_Raw(read), json_reader.BUFFER_BYTES))
    if file.peek(2).startswith(_GZIP_MAGIC):
        # At damaged data, read would discard the bytes before the damage; read1 returns them.
        decompress = stack.enter_context(gzip.GzipFile(fileobj=file, mode="rb")).read1
        file = stack.enter_context(io.BufferedReader(_Raw(decompress), json_reader.BUFFER_BYTES))
    return file


def _skip_blank_lines(file: io.BufferedReader) -> tuple[int, bytes]:
    """Skip a byte order mark and blank lines; return the number of the next line and its first bytes."""
    number = 1
    if file.peek(3).startswith(_UTF8_MARK):
        file.read(len(_UTF8_MARK))
    while chunk := file.peek(1):
        blank = len(chunk) - len(chunk.lstrip())
        if blank < len(chunk):  # blanks right before the content are part of its line
            blank = chunk.rfind(b"\n", 0, blank) + 1
        number += chunk.count(b"\n", 0, blank)
        file.read(blank)
        if blank < len(chunk):
            return number, chunk[blank:]
    return number, b""
