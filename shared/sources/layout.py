"""Find the delimiter and the header of a CSV file in its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

# Delimiters that are inferred, in the order of preference. A blank stands for any number of blanks and tabs.
DELIMITERS = (",", ";", "\t", "|")
BLANKS = " "
# Lines that are searched for the header.
MAX_LINES = 64

_QUOTED = re.compile(r'"[^"]*"?')
_QUOTED_OR_BLANKS = re.compile(r'("(?:[^"]|"")*")|[ \t]+')


class Header(NamedTuple):
    """Where the header is.

    Attributes:
        skipped: the lines before it.
        matches: how many of the known columns it has.
    """

    skipped: int
    delimiter: str
    matches: int


def find_header(lines: Sequence[str], columns: Collection[str], delimiter: str | None = None) -> Header:
    """Return the position of the header among lines, and its delimiter.

    The header is the first line if it has one of the columns, or if no line has one. Otherwise it is the first line
    with the most of them.

    Args:
        lines: the first lines; the first of them isn't blank.
        columns: names that the header may have; empty if none is known.
        delimiter: the declared one; None infers it.
    """
    found = [delimiter or delimiter_of(line, columns) for line in lines]
    matches = [len(set(columns) & set(cells_of(line, each))) for line, each in zip(lines, found, strict=True)]
    skipped = 0 if matches[0] else matches.index(max(matches))
    return Header(skipped, found[skipped], matches[skipped])


def delimiter_of(line: str, columns: Collection[str]) -> str:
    """Return the delimiter that splits a line into most of the columns.

    Without a difference it is a comma if there is one outside of quotes, or else the most frequent of the others.
    """
    unquoted = _QUOTED.sub("", line).strip("\r\n")
    counts = {each: unquoted.count(each) for each in DELIMITERS}
    by_count = "," if counts[","] else max(DELIMITERS, key=lambda each: counts[each])
    if not columns:
        return by_count
    matches = {each: len(set(cells_of(line, each)) & set(columns)) for each in (*DELIMITERS, BLANKS)}
    best = max(matches.values())
    return by_count if matches[by_count] == best else next(each for each in matches if matches[each] == best)


def width_delimiter(line: str, width: int) -> str:
    """Return the delimiter that splits a line into that many cells, or else that of `delimiter_of`."""
    likely = delimiter_of(line, ())
    return next(
        (each for each in (likely, *DELIMITERS, BLANKS) if len(cells_of(line, each)) == width),
        likely,
    )


def cells_of(line: str, delimiter: str) -> list[str]:
    """Return the stripped cells of a line; a quoted cell that goes on in the next line ends here."""
    try:
        cells = next(csv.reader([collapse_blanks(line) if delimiter == BLANKS else line], delimiter=delimiter), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in cells]


def collapse_blanks(line: str) -> str:
    """Return a line with one blank in place of blanks and tabs outside of quotes, and none at both ends."""
    end = line[len(line.rstrip("\r\n")) :]
    return _QUOTED_OR_BLANKS.sub(_keep_quoted, line.strip(" \t\r\n")) + end


def _keep_quoted(match: re.Match[str]) -> str:
    return match[1] or BLANKS
