"""`[source]` of a contract: how the files of its events are written. Pure."""

from __future__ import annotations

import codecs
from typing import Literal

import msgspec

from shared.toml_tables import Problem

Format = Literal["auto", "csv", "json", "access_log", "parquet", "arrow"]
Thousands = Literal[",", ".", " ", "'", "_"]

# Keys that only make sense for text, and for rows of cells.
FORMATS_OF_KEYS: dict[str, tuple[Format, ...]] = {
    "encoding": ("auto", "csv", "json", "access_log"),
    "skip_lines": ("auto", "csv"),
    "delimiter": ("auto", "csv"),
    "columns": ("auto", "csv"),
    "decimal": ("auto", "csv"),
    "thousands": ("auto", "csv"),
}


class SourceFormat(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[source]`: how source files are written. Missing values are inferred from each file.

    Attributes:
        encoding: name of a Python text codec; a byte order mark in the file takes precedence.
        delimiter: one character between cells; a blank stands for any number of blanks and tabs.
        skip_lines: lines before the header, or before the first row if `columns` is set.
        columns: names of the columns of files without a header row.
        decimal: decimal mark of numbers; None is a point.
        thousands: mark between groups of three digits; None allows none.
    """

    format: Format = "auto"
    encoding: str | None = None
    delimiter: str | None = None
    skip_lines: int | None = None
    columns: tuple[str, ...] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Thousands | None = None

    def check(self) -> None:
        """Raise Problem for keys that don't fit the format or contradict each other."""
        for key, formats in FORMATS_OF_KEYS.items():
            if getattr(self, key) is not None and self.format not in formats:
                expected = f"no {key} for format {self.format}; {key} applies to {', '.join(formats)}"
                raise Problem(f"source.{key}", getattr(self, key), expected)
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            raise Problem("source.encoding", self.encoding, 'an encoding that Python reads, such as "windows-1252"')
        if self.delimiter is not None and not _is_delimiter(self.delimiter):
            raise Problem("source.delimiter", self.delimiter, 'one character, such as ";", "\\t", "|" or " "')
        if self.skip_lines is not None and self.skip_lines < 0:
            raise Problem("source.skip_lines", self.skip_lines, "0 or more")
        if self.columns is not None and (not self.columns or not all(map(str.strip, self.columns))):
            raise Problem("source.columns", self.columns, "the names of all columns, in order")
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            expected = f'another mark than the decimal mark, {self.decimal or "."!r}; set decimal = ","'
            raise Problem("source.thousands", self.thousands, expected)


def _is_text_encoding(name: str) -> bool:
    try:
        b"a".decode(name, "replace")  # raises LookupError for codecs such as "base64"
        return codecs.lookup(name).incrementaldecoder is not None
    except (LookupError, UnicodeError, ValueError):  # ValueError: a NUL in the name
        return False


def _is_delimiter(text: str) -> bool:
    return len(text) == 1 and not text.isalnum() and text not in '"\r\n\\'
