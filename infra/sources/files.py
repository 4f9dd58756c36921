"""Find event logs and read them as a stream: CSV or JSON, plain or gzip, from files or standard input."""

from __future__ import annotations

import glob
import gzip
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO, Literal, NoReturn

from infra.sources import json_reader
from infra.sources.csv_cells import ColumnType
from infra.sources.csv_reader import read_csv
from infra.sources.records import MAX_QUOTED_CHARS, Record, Unreadable
from shared.errors import SourceError

__all__ = ["ColumnType", "Record", "SourceReader", "Unreadable", "find_sources"]

_FORMATS: dict[str, Literal["csv", "json"]] = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}

_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


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
    raise SourceError(f"{error.filename}: can't be read ({error.strerror}), expected event logs") from error


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
                except json_reader.DamagedError as damage:
                    yield Unreadable(name, damage.line, str(damage), b"")
                except json_reader.DAMAGE as error:
                    yield Unreadable(name, 1, str(json_reader.DamagedError(1, error)), b"")

    def _read(self, raw: Any, size: int) -> bytes:
        # read1 returns what a pipe holds, where read would wait for more.
        data: bytes = getattr(raw, "read1", raw.read)(size)
        self.bytes_read += len(data)
        return data

    def _events(self, file: io.BufferedReader, name: str) -> Iterator[Record | Unreadable]:
        number, start = _find_content(file)
        if start.startswith(_UTF16_MARKS):
            return iter([Unreadable(name, number, "found UTF-16 text, expected UTF-8", start[:MAX_QUOTED_CHARS])])
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
    file: io.BufferedReader = io.BufferedReader(_Raw(read), json_reader.BUFFER)
    if file.peek(2).startswith(_GZIP_MAGIC):
        # read1, since read loses what it has gathered when it comes upon damage.
        unpack = stack.enter_context(gzip.GzipFile(fileobj=file, mode="rb")).read1
        file = io.BufferedReader(_Raw(unpack), json_reader.BUFFER)
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
