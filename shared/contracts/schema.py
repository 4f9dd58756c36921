"""The tables of a contract file, with the checks of each table's keys."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from shared.contracts.masks import Mask
from shared.contracts.model import Unit
from shared.contracts.patterns import compile_pattern, pattern_problem
from shared.timestamps import RFC_2822
from shared.toml_tables import Problem

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_MICROSECONDS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}

# Types that a key applies to; other keys apply to all types.
TYPES_OF_KEYS = {
    "trim": ("string",),
    "case": ("string",),
    "pattern": ("string",),
    "min_length": ("string", "array", "object"),
    "max_length": ("string", "array", "object"),
    "min": ("integer", "number"),
    "max": ("integer", "number"),
    "one_of": ("string", "integer", "number", "boolean"),
    "unit": ("timestamp",),
    "format": ("timestamp",),
    "max_future": ("timestamp",),
    "max_age": ("timestamp",),
}
_MAX_LENGTH = 2**63 - 1  # the largest length of a msgspec type
_SCALARS = ("string", "integer", "number", "boolean")
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class EventTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[event]`: the fields that determine an event's cell key."""

    id: str | list[str]
    user: str
    time: str
    bucket: Literal["day", "hour"] = "day"


class ChecksTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[checks]`: the rules for whole events."""

    unknown_fields: Literal["keep", "drop", "reject"] = "keep"
    max_rejected: float | None = None

    def check(self) -> None:
        """Raise Problem for a share outside of 0 to 1."""
        if self.max_rejected is not None and not 0 <= self.max_rejected <= 1:
            raise Problem("checks.max_rejected", self.max_rejected, "a share of a day's events, from 0 to 1")


class AggregateTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[aggregates.NAME]` without its measures."""

    by: str | None = None
    where: dict[str, Any] = {}
    mergeable: bool = True


class FieldTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"from_": "from"}):
    """`[fields.NAME]`: the source, the transform and the rules of a field."""

    type: Literal["string", "integer", "number", "boolean", "timestamp", "object", "array"]
    from_: str | None = None
    required: bool = False
    severity: Literal["reject", "warn"] = "reject"
    default: Any = None
    trim: bool = False
    case: Literal["lower", "upper"] | None = None
    unit: Unit | None = None
    format: str | None = None
    one_of: list[Any] | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    min: int | float | None = None
    max: int | float | None = None
    max_future: str | None = None
    max_age: str | None = None
    mask: Mask | None = None

    def check(self, where: str) -> None:
        """Raise Problem for keys that don't fit the type or contradict each other."""
        for key, types in TYPES_OF_KEYS.items():
            value = getattr(self, key)
            if value is not None and value is not False and self.type not in types:
                raise Problem(
                    f"{where}.{key}", value, f"no {key} for type {self.type}; {key} applies to {', '.join(types)}"
                )
        if self.unit and self.format:
            raise Problem(f"{where}.unit", self.unit, "either unit or format, not both")
        if self.mask == "hash" and self.type not in ("string", "integer"):
            raise Problem(f"{where}.mask", self.mask, "drop, or a field of type string or integer")
        if self.required and self.default is not None:
            raise Problem(f"{where}.default", self.default, "no default for a required field")
        self._check_bounds(where)
        self._check_pattern(where)
        self._check_values(where)
        self._check_format(where)
        self.duration("max_future", where)
        self.duration("max_age", where)

    def duration(self, key: str, where: str) -> int | None:
        """Return the duration of that key in microseconds, None if it is missing; raise Problem for an invalid one."""
        text = getattr(self, key)
        if text is None:
            return None
        match = _DURATION.fullmatch(text)
        if match is None:
            raise Problem(f"{where}.{key}", text, 'a number with ms, s, m, h or d, such as "5m" or "400d"')
        return int(match[1]) * _MICROSECONDS[match[2]]

    def _check_values(self, where: str) -> None:
        types = _PYTHON_TYPES.get(self.type, ())
        if self.default is not None and not _has_type(self.default, types):
            raise Problem(f"{where}.default", self.default, f"a value of type {self.type}")
        if self.one_of is not None:
            if not self.one_of:
                raise Problem(f"{where}.one_of", self.one_of, "at least one allowed value")
            for value in self.one_of:
                if not _has_type(value, types):
                    raise Problem(f"{where}.one_of", value, f"values of type {self.type}")
                if self.case and value != (value.lower() if self.case == "lower" else value.upper()):
                    raise Problem(f"{where}.one_of", value, f"values in {self.case} case, like the field")
            if self.default is not None and self.default not in self.one_of:
                raise Problem(f"{where}.default", self.default, f"one of {self.one_of}")
        if self.default is not None:
            self._check_default(where, self.default)

    def _check_default(self, where: str, default: Any) -> None:
        """Check the default against the field's rules, because an invalid default would reject events."""
        if isinstance(default, str):
            shaped = default.strip() if self.trim else default
            shaped = shaped.lower() if self.case == "lower" else shaped.upper() if self.case == "upper" else shaped
            if default != shaped:
                raise Problem(f"{where}.default", default, f"{shaped!r}, the default after the field's transform")
            if self.pattern is not None and not compile_pattern(self.pattern).fullmatch(default):
                raise Problem(f"{where}.default", default, f"text that matches the pattern {self.pattern}")
        for low, high, size in (
            (self.min_length, self.max_length, len(default) if isinstance(default, str | list | dict) else None),
            (self.min, self.max, default if isinstance(default, int | float) else None),
        ):
            if size is not None and ((low is not None and size < low) or (high is not None and size > high)):
                raise Problem(f"{where}.default", default, "a value within the field's bounds")

    def _check_bounds(self, where: str) -> None:
        for low, high in (("min_length", "max_length"), ("min", "max")):
            minimum, maximum = getattr(self, low), getattr(self, high)
            if low == "min_length" and any(bound is not None and bound < 0 for bound in (minimum, maximum)):
                key = low if (minimum or 0) < 0 else high
                raise Problem(f"{where}.{key}", min(minimum or 0, maximum or 0), "0 or more")
            if low == "min_length" and any(bound is not None and bound > _MAX_LENGTH for bound in (minimum, maximum)):
                key = low if (minimum or 0) > _MAX_LENGTH else high
                raise Problem(f"{where}.{key}", getattr(self, key), f"at most {_MAX_LENGTH}")
            if any(bound != bound for bound in (minimum, maximum)):
                raise Problem(f"{where}.{low if minimum != minimum else high}", "nan", "a number")
            if minimum is not None and maximum is not None and minimum > maximum:
                raise Problem(f"{where}.{low}", minimum, f"at most {high}, which is {maximum}")

    def _check_pattern(self, where: str) -> None:
        if self.pattern is not None:
            problem = pattern_problem(self.pattern)
            if problem:
                raise Problem(f"{where}.pattern", self.pattern, f"a regular expression in RE2's syntax ({problem})")

    def _check_format(self, where: str) -> None:
        if self.format is None or self.format == RFC_2822:
            return
        moment = datetime(2024, 1, 15, 10, 30, 45, tzinfo=UTC)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # formats without a year are refused below
                parsed = datetime.strptime(moment.strftime(self.format), self.format)
        except (ValueError, re.error) as error:
            raise Problem(f"{where}.format", self.format, f"a strptime format ({error})") from None
        if parsed.date() != moment.date():
            raise Problem(f"{where}.format", self.format, "a strptime format with year, month and day")


def check_value(type: str, one_of: tuple[Any, ...] | None, value: object, where: str) -> None:
    """Raise Problem for a value that a field of that type and with those options can't have."""
    if type not in _SCALARS:
        raise Problem(where, value, f"a condition on a field of type {', '.join(_SCALARS)}")
    if not _has_type(value, _PYTHON_TYPES[type]):
        raise Problem(where, value, f"a value of type {type}, or a list of them")
    if one_of is not None and value not in one_of:
        raise Problem(where, value, f"one of {list(one_of)}")


def _has_type(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))
