"""Find source files and stream their events: text, Parquet or Arrow, from files or standard input."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO, NoReturn

from msgspec.structs import replace

from shared.contracts.source import Format, SourceFormat
from shared.errors import SourceError
from shared.sources import access_log, arrow_reader, json_reader
from shared.sources.compression import SUFFIXES, ArchiveError, decompressed
from shared.sources.csv_cells import DEFAULT, ColumnType
from shared.sources.csv_reader import read_csv
from shared.sources.encodings import INVALID, describe_invalid, utf8_text
from shared.sources.records import MAX_QUOTED_BYTES, Block, Piece, Record, Unreadable, blocks_of, records_of

__all__ = ["Block", "ColumnType", "Record", "SourceReader", "Unreadable", "find_sources"]

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
}
# Names of text that don't show its format.
_TEXTS = (".log", ".txt")
_TEXT_FORMATS = ("csv", "json", "access_log")


def find_sources(source: str, format: Format = "auto") -> list[Path | None]:
    """Return the files that a `--source` option names, sorted; None stands for standard input.

    Args:
        source: a file; a directory, searched recursively without hidden files; a glob pattern; or "-".
        format: that of the files. If it is text, the files of a directory may also be `*.log` and `*.txt`.

    Raises:
        SourceError: no file matches.
    """
    if source == "-":
        return [None]
    if source and (files := _expand(Path(source), format)):
        return [*files]
    if not glob.has_magic(source):
        raise SourceError(f"{source!r}: found nothing, expected a file, a directory, a glob pattern or -")
    matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not matches:
        raise SourceError(f"{source!r}: found no file that matches, expected at least one")
    return [*dict.fromkeys(file for match in matches for file in _expand(Path(match), format) or [Path(match)])]


def _expand(path: Path, format: Format) -> list[Path]:
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
            has_format = format_of(name) or (_suffix(name) in _TEXTS and format in _TEXT_FORMATS)
            if has_format and not name.startswith("."):
                found.append(Path(folder, name))
            else:
                others.append(name)
    if not found:
        what = f"{len(others)} other files ({', '.join(sorted(others)[:3])}, …)" if others else "no files"
        expected = ", ".join(f"*{suffix}" for suffix in _FORMATS)
        raise SourceError(
            f"{path}: found {what}, expected {expected}, text also with {', '.join(SUFFIXES)}; "
            "*.log and *.txt if the format is declared in [source] or with --format"
        )
    return sorted(found)


def _raise_unreadable(error: OSError) -> NoReturn:
    raise SourceError(f"{error.filename}: can't be read ({error.strerror}), expected event logs") from error


def format_of(name: str) -> Format | None:
    """Return the format that the name of a file shows, None if it shows none."""
    return _FORMATS.get(_suffix(name))


def _suffix(name: str) -> str:
    path = Path(name.lower())
    return path.with_suffix("").suffix if path.suffix in SUFFIXES else path.suffix


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
        format: Format = "auto",
        source_format: SourceFormat = DEFAULT,
        columns: Mapping[str, ColumnType] | None = None,
        stdin: BinaryIO | io.RawIOBase | None = None,
        stdin_name: str = "stdin",
    ) -> None:
        """Check that every file can be read before reading the first.

        Args:
            sources: the result of `find_sources`.
            format: takes precedence over that of `source_format`. "auto" detects the format from the content of
                Parquet and Arrow, and else from the name, or from the content if the name has no known suffix.
            source_format: the notation of the files.
            columns: the type of each CSV column, by its path in the record. Columns without a type are text.
            stdin: the file that None in `sources` stands for; the standard input of the process by default.
            stdin_name: its name in the results; like the name of a file, it determines the format.

        Raises:
            SourceError: a file is missing, is a directory or can't be read.
        """
        sizes = [None if path is None else _size(path) for path in sources]
        known = [size for size in sizes if size is not None]
        self.total_bytes = sum(known) if len(known) == len(sizes) else None
        self.bytes_read = 0
        self._sources, self._columns = sources, columns
        self._declared = source_format if format == "auto" else replace(source_format, format=format)
        self._stdin, self._stdin_name = stdin, stdin_name

    def __iter__(self) -> Generator[Record | Unreadable, None, None]:
        """Yield the events of every source in order, and the pieces that can't be read.

        Close the generator if it isn't read to its end; that closes the current file.

        Raises:
            SourceError: a file has disappeared, the header of a CSV file is invalid, or a package is missing.
        """
        with closing(self._pieces()) as pieces:
            yield from records_of(pieces)

    def blocks(self, max_events: int) -> Generator[Block | Unreadable, None, None]:
        """Yield the events in blocks of at most `max_events`, at a fraction of the time; else like `__iter__`."""
        with closing(self._pieces()) as pieces:
            yield from blocks_of(pieces, max_events)

    def _pieces(self) -> Generator[Piece, None, None]:
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
                    yield from self._read_file(raw, name, stack)
                except ArchiveError as error:
                    yield Unreadable(name, 1, str(error), b"")
                except json_reader.DamagedError as damage:
                    yield Unreadable(name, damage.line, str(damage), b"")
                except json_reader.DAMAGE_ERRORS as error:
                    yield Unreadable(name, 1, str(json_reader.DamagedError(1, error)), b"")

    def _read(self, raw: Any, size: int) -> bytes:
        # read1 returns what a pipe holds; read would block until it has `size` bytes.
        data: bytes = getattr(raw, "read1", raw.read)(size)
        self.bytes_read += len(data)
        return data

    def _read_file(self, raw: Any, name: str, stack: ExitStack) -> Iterator[Piece]:
        before, read = self.bytes_read, partial(self._read, raw)
        file = decompressed(read, name, stack)
        kind = arrow_reader.kind_of(file.peek(arrow_reader.MAGIC_BYTES))
        if kind is not None:
            if kind != "arrow stream":
                file = arrow_reader.rewound(raw, read, kind, name, stack)
                self.bytes_read = before
            return arrow_reader.read_arrow(kind, file, name)
        if (declared := self._declared.format) in ("parquet", "arrow"):
            raise SourceError(f"{name}: found the bytes {file.peek(4)[:4]!r}, expected a file of format {declared}")
        return self._read_text(file, name, stack)

    def _read_text(self, file: io.BufferedReader, name: str, stack: ExitStack) -> Iterator[Piece]:
        text, encoding = utf8_text(file, self._declared.encoding, stack)
        number, start = _skip_blank_lines(text)
        bracket = start.lstrip()[:1]
        declared = replace(self._declared, encoding=encoding)
        format = declared.format if declared.format != "auto" else format_of(name)
        if format is None and access_log.is_access_log(start.split(b"\n", 1)[0]):
            format = "access_log"
        if format == "access_log":
            return access_log.read_access_log(json_reader.blocks_of(text, number), name, number, encoding)
        if format == "csv" or not (format or bracket in (b"{", b"[")):
            if _suffix(name) == ".tsv" and declared.delimiter is None:
                declared = replace(declared, delimiter="\t")
            return read_csv(json_reader.blocks_of(text, number), name, self._columns, number, declared)
        if bracket == b"{":
            pieces = json_reader.read_objects(text, name, number)
        elif bracket == b"[":
            pieces = json_reader.read_values(text, name)
        else:
            pieces = json_reader.read_lines(text, name, number)
        return pieces if encoding is None else _report_invalid(records_of(pieces), encoding)


def _report_invalid(events: Iterator[Record | Unreadable], encoding: str) -> Iterator[Record | Unreadable]:
    """Yield the events; those that aren't in the encoding as unreadable."""
    for event in events:
        if isinstance(event, Record) and INVALID in event.raw:
            problem = describe_invalid(event.raw, encoding)
            yield Unreadable(event.source, event.line, problem, event.raw[:MAX_QUOTED_BYTES])
        else:
            yield event


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


def _skip_blank_lines(file: io.BufferedReader) -> tuple[int, bytes]:
    """Skip blank lines; return the number of the next line and its first bytes."""
    number = 1
    while chunk := file.peek(1):
        blank = len(chunk) - len(chunk.lstrip())
        if blank < len(chunk):  # blanks right before the content are part of its line
            blank = chunk.rfind(b"\n", 0, blank) + 1
        number += chunk.count(b"\n", 0, blank)
        file.read(blank)
        if blank < len(chunk):
            return number, chunk[blank:]
    return number, b""
