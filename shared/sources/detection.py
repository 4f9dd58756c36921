"""Detect how a file is written from its beginning, for a person to confirm in `[source]`.

A reader of a contract's files needs less: it knows their columns. Here all that is likely is said, also what no reader
may assume: the encoding of bytes that aren't UTF-8, that the first row isn't a header, and the marks of numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace

from shared.contracts.source import SourceFormat, Thousands
from shared.errors import SourceError
from shared.sources import access_log, arrow_reader, layout
from shared.sources.compression import ArchiveError, decompressed
from shared.sources.encodings import likely_encoding, utf8_text
from shared.sources.files import format_of

_SAMPLE_BYTES, _SAMPLE_LINES = 256 * 1024, 200

# Cells that a header doesn't have: numbers, dates and addresses.
_VALUE = re.compile(r"[+-]?[0-9]+(?:[.,'\s][0-9]+)*|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}.*|\S+@\S+|https?://.*")
# A mark is the decimal one with other than three digits behind it, or behind groups of the other mark.
_DECIMALS: dict[Literal[".", ","], re.Pattern[str]] = {
    ",": re.compile(r"[+-]?(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|[0-9]{1,3}(?:[.'\s][0-9]{3})+,[0-9]+)"),
    ".": re.compile(r"[+-]?(?:[0-9]+\.(?:[0-9]{1,2}|[0-9]{4,})|[0-9]{1,3}(?:[,'\s][0-9]{3})+\.[0-9]+)"),
}
# Groups that aren't just one group behind the other mark, which could be decimals.
_GROUPS: dict[Thousands, re.Pattern[str]] = {
    ",": re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]+|(?:,[0-9]{3}){2,})"),
    ".": re.compile(r"[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+,[0-9]+|(?:\.[0-9]{3}){2,})"),
    " ": re.compile(r"[+-]?[0-9]{1,3}(?:[\s\u00a0\u202f][0-9]{3})+[.,][0-9]+"),
    "'": re.compile(r"[+-]?[0-9]{1,3}(?:['\u2019][0-9]{3})+(?:[.,][0-9]+)?"),
}


class _Table(NamedTuple):
    """The rows of a CSV sample, and the delimiter and the number of cells that most of them have."""

    delimiter: str
    width: int
    rows: list[list[str]]


def detect(path: Path, name: str | None = None) -> SourceFormat:
    """Return how a file is likely written. What is None doesn't have to be declared.

    Args:
        path: the file.
        name: its name, which shows the format, if that isn't the one of `path`.

    Raises:
        SourceError: the file is of a kind that can't be read, or a package is missing.
        OSError, EOFError: the file can't be read.
    """
    name = name or str(path)
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb", buffering=0))
        try:
            plain = decompressed(lambda size: file.read(size) or b"", name, stack)
        except ArchiveError as error:
            raise SourceError(f"{name}: {error}") from None
        kind = arrow_reader.kind_of(plain.peek(arrow_reader.MAGIC_BYTES))
        if kind is not None:
            return SourceFormat(format="parquet" if kind == "parquet" else "arrow")
        text, _ = utf8_text(plain, None, stack)
        sample = text.read(_SAMPLE_BYTES)
    if len(sample) == _SAMPLE_BYTES:
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    encoding = likely_encoding(sample) if b"\xef\xbf\xbd" in sample.decode(errors="replace").encode() else None
    lines = sample.decode(encoding or "utf-8", "replace").split("\n")[:_SAMPLE_LINES]
    return _of_lines([line.rstrip("\r") for line in lines], SourceFormat(encoding=encoding), name)


def _of_lines(lines: Sequence[str], found: SourceFormat, name: str) -> SourceFormat:
    start = next((line for line in lines if line.strip()), "")
    if access_log.is_access_log(start.encode()):
        return replace(found, format="access_log")
    format = format_of(name) or ("json" if start.lstrip()[:1] in ("{", "[") else "csv")
    found = replace(found, format=format)
    return found if format != "csv" else _of_rows(lines, found)


def _of_rows(lines: Sequence[str], found: SourceFormat) -> SourceFormat:
    table = _table(lines)
    if table is None:
        return found
    header = next(at for at, row in enumerate(table.rows) if len(row) == table.width)
    first = next(at for at, line in enumerate(lines) if line.strip())
    cells = [cell for cell in chain.from_iterable(table.rows[header + 1 :]) if cell]
    decimal, thousands = _marks(cells)
    return replace(
        found,
        delimiter=None if table.delimiter == layout.delimiter_of(lines[header], ()) else table.delimiter,
        skip_lines=header if header > first else None,
        columns=_generated_names(table.width) if any(map(_VALUE.fullmatch, table.rows[header])) else None,
        decimal=decimal,
        thousands=thousands,
    )


def _table(lines: Sequence[str]) -> _Table | None:
    """Return the rows of the delimiter that gives most lines the same number of cells, at least two.

    More cells weigh as much as more lines: the commas of decimals split each row of another delimiter in two. Blanks
    only count by lines, since texts are full of them.
    """
    best, best_count, best_weight = None, 0, 0
    for delimiter in (*layout.DELIMITERS, layout.BLANKS):
        rows = [layout.cells_of(line, delimiter) if line.strip() else [] for line in lines]
        widths = Counter(len(row) for row in rows if len(row) > 1)
        if widths:
            width, count = widths.most_common(1)[0]
            weight = count * (width - 1)
            if count > best_count if delimiter == layout.BLANKS else weight > best_weight:
                best, best_count, best_weight = _Table(delimiter, width, rows), count, weight
    return best


def _generated_names(width: int) -> tuple[str, ...]:
    return tuple(f"column_{position}" for position in range(1, width + 1))


def _marks(cells: Sequence[str]) -> tuple[Literal[","] | None, Thousands | None]:
    """Return the decimal mark and the mark of thousands that cells show without a doubt."""
    decimals = [mark for mark, pattern in _DECIMALS.items() if any(map(pattern.fullmatch, cells))]
    decimal = decimals[0] if len(decimals) == 1 else None
    groups = [mark for mark, pattern in _GROUPS.items() if mark != decimal and any(map(pattern.fullmatch, cells))]
    thousands = groups[0] if len(groups) == 1 and len(decimals) < 2 else None
    if thousands == ".":
        decimal = ","
    return "," if decimal == "," else None, thousands
