"""Parameters of a query string: their types, checks and JSON Schemas. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from shared import row_keys, timestamps
from shared.query.problems import InvalidParameter, ProblemError
from shared.validation.results import quote

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9998, 12, 31)
# More parameters than any endpoint has; parsing stops there.
_MAX_PARAMETERS = 32

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_NUMBER = re.compile(r"\d{1,9}", re.ASCII).fullmatch
_read_time = timestamps.reader(None, None)


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of an endpoint.

    Attributes:
        read: returns the value of a text, or None for an invalid text.
        expected: the valid texts, for the error.
        schema: their JSON Schema.
        default: the value without the parameter; a required one has none.
    """

    name: str
    description: str
    read: Callable[[str], Any]
    expected: str
    schema: Mapping[str, Any]
    required: bool = False
    default: Any = None


def text(name: str, description: str, max_encoded_bytes: int, *, required: bool = True) -> Parameter:
    """Return a parameter for text of a row key, which is percent-encoded there."""

    def read(found: str) -> str | None:
        return found if found and len(row_keys.encode(found)) <= max_encoded_bytes else None

    expected = f"1 to {max_encoded_bytes:,} bytes, percent-encoded"
    schema = {"type": "string", "minLength": 1, "maxLength": max_encoded_bytes}
    return Parameter(name, f"{description} {expected}.", read, expected, schema, required)


def day(name: str, description: str) -> Parameter:
    """Return a required parameter for a day in UTC."""

    def read(found: str) -> date | None:
        if not _DAY(found):
            return None
        try:
            found_day = date.fromisoformat(found)
        except ValueError:
            return None
        return found_day if FIRST_DAY <= found_day <= LAST_DAY else None

    expected = f"a day such as 2024-01-15, from {FIRST_DAY} to {LAST_DAY}"
    return Parameter(name, description, read, expected, {"type": "string", "format": "date"}, required=True)


def moment(name: str, description: str) -> Parameter:
    """Return an optional parameter for a time."""

    def read(found: str) -> datetime | None:
        time = _read_time(found)
        return time if isinstance(time, datetime) and FIRST_DAY <= time.date() <= LAST_DAY else None

    expected = "a time such as 2024-01-15T10:30:00Z (a + of an offset is %2B in a URL)"
    return Parameter(name, description, read, expected, {"type": "string", "format": "date-time"})


def limit(default: int, maximum: int, description: str) -> Parameter:
    """Return the parameter for the number of results in a response."""

    def read(found: str) -> int | None:
        return int(found) if _NUMBER(found) and 1 <= int(found) <= maximum else None

    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return Parameter("limit", description, read, f"a number from 1 to {maximum:,}", schema, default=default)


def choice(name: str, description: str, choices: Sequence[str]) -> Parameter:
    """Return an optional parameter for one of some texts."""
    expected = f"one of {', '.join(choices)}"
    schema = {"type": "string", "enum": list(choices)}
    return Parameter(name, description, lambda found: found if found in choices else None, expected, schema)


def cursor() -> Parameter:
    """Return the parameter for the cursor of a page; `shared.query.cursors` reads it."""
    schema = {"type": "string", "minLength": 1}
    description = "`next` of the page before, unchanged, with the same other parameters except `limit`."
    return Parameter("cursor", description, lambda found: found or None, "the `next` of a page", schema)


def read_parameters(query: bytes, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the values of all parameters by name.

    Raises:
        ProblemError: 400 with every invalid, unknown, repeated or missing parameter.
    """
    known = {each.name: each for each in parameters}
    values = {each.name: each.default for each in parameters}
    errors: list[InvalidParameter] = []
    seen: set[str] = set()
    for name, found in _pairs(query):
        parameter = known.get(name)
        if parameter is None:
            expected = f"only {', '.join(known)}" if known else "no parameters"
            errors.append(InvalidParameter(quote(name), "an unknown parameter", expected))
        elif name in seen:
            errors.append(InvalidParameter(name, "it more than once", "it once"))
        else:
            seen.add(name)
            values[name] = parameter.read(found)
            if values[name] is None:
                errors.append(InvalidParameter(name, quote(found), parameter.expected))
    errors += [
        InvalidParameter(each.name, "nothing", each.expected)
        for each in parameters
        if each.required and each.name not in seen
    ]
    if errors:
        raise ProblemError.of_parameters(errors)
    return values


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        # Like the keys of the tables, which also hold lone surrogates.
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="surrogatepass", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:  # not UTF-8, or too many fields
        expected = f"up to {_MAX_PARAMETERS} parameters in percent-encoded UTF-8"
        raise ProblemError.of_parameters([InvalidParameter("query", "an unreadable query string", expected)]) from None
