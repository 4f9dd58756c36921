"""The result of a query, and its output as a table, as JSON or as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

if TYPE_CHECKING:
    from rich.table import Table

# Values without a type in JSON, such as intervals, become text.
_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a query, which are read once, as Python values.

    Attributes:
        names: of the columns.
    """

    names: list[str]
    rows: Iterator[tuple[Any, ...]]


def plain(value: Any) -> Any:
    """Return a value with its time in UTC, and a whole decimal number as an integer."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)
    return value


def write_json(result: Result, write: Callable[[str], Any]) -> None:
    """Write an array of objects, each in a line."""
    before = "["
    for row in result.rows:
        write(before + _json(dict(zip(result.names, row, strict=True))))
        before = ","
    write("[]" if before == "[" else "]")


def write_csv(result: Result, output: TextIO) -> None:
    """Write a header and a line for each row; null is an empty cell."""
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(result.names)
    writer.writerows(list(map(_text, row)) for row in result.rows)


def table_of(result: Result, limit: int) -> tuple[Table, bool]:
    """Return the first rows as a table, and whether there are more."""
    from rich.table import Table
    from rich.text import Text

    shown = list(islice(result.rows, limit))
    table = Table()
    for index, name in enumerate(result.names):
        values = [row[index] for row in shown if row[index] is not None]
        is_number = bool(values) and all(isinstance(value, int | float | Decimal) for value in values)
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in shown:
        table.add_row(*(Text(_text(value)) for value in row))
    return table, next(result.rows, None) is not None


def _json(value: Any) -> str:
    return _encode(value).decode()


def _text(value: Any) -> str:
    """Return a value as text; null is empty."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list | dict | tuple | bool):
        return _json(value)
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
