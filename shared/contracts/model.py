"""A contract in memory: its fields, rules, measures and aggregates. Pure."""

from __future__ import annotations

import re
from typing import Any, Literal, cast

import msgspec
from msgspec.structs import replace

from shared.contracts.masks import MIN_KEY_CHARS, VARIABLE, Mask, MaskKey
from shared.contracts.source import SourceFormat
from shared.errors import SettingsError

Severity = Literal["reject", "warn"]
Unit = Literal["s", "ms", "us", "ns", "serial_days"]
Type = Literal["string", "integer", "number", "boolean", "timestamp", "object", "array"]


class Field(msgspec.Struct, frozen=True):
    """One field of the canonical event: the source of its value, its transform and its rules.

    Attributes:
        path: keys that lead to the value in an incoming record.
        unit, format: notation of a timestamp; RFC 3339 text without both.
        pattern: regular expression in RE2's syntax that the whole text must match.
        minimum, maximum: range of a number, both inclusive.
        max_future, max_age: range of a timestamp, in microseconds from its message's publish time.
        mask: replaces the value by a keyed digest, or drops it, before the event is stored.
    """

    name: str
    path: tuple[str, ...]
    type: Type
    required: bool = False
    severity: Severity = "reject"
    default: Any = None
    trim: bool = False
    case: Literal["lower", "upper"] | None = None
    unit: Unit | None = None
    format: str | None = None
    one_of: tuple[Any, ...] | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_future: int | None = None
    max_age: int | None = None
    mask: Mask | None = None


Function = Literal["count", "unique", "sum", "min", "max", "mean"]

_MEASURE = re.compile(r"\s*(unique|sum|min|max|mean)\s*\(\s*([^()]+?)\s*\)\s*")


class Measure(msgspec.Struct, frozen=True):
    """One measure of an aggregate.

    Attributes:
        field: the field whose values are measured; None for `count`, which counts events.
    """

    name: str
    function: Function
    field: str | None

    @classmethod
    def parse(cls, name: str, text: str) -> Measure | None:
        """Return the measure that a contract's text describes, None for an invalid text."""
        if text.strip() == "count":
            return cls(name, "count", None)
        match = _MEASURE.fullmatch(text)
        return cls(name, cast(Function, match[1]), match[2]) if match else None

    @property
    def error_name(self) -> str:
        """Name of the value that holds the error bound where this measure is an estimate."""
        return f"{self.name}_error"


RESERVED_DIMENSION = "quality"
DIGEST = "digest(record)"  # the id of events that have none


class Aggregate(msgspec.Struct, frozen=True):
    """One dimension of a day's rollup.

    Attributes:
        by: the field whose values the measures are grouped by; None groups the whole day under the value "all".
        where: fields, each with its allowed values; only events that match all of them are measured.
        mergeable: whether each day keeps the state that merges its measures with those of other days.
    """

    dimension: str
    by: str | None
    where: tuple[tuple[str, tuple[Any, ...]], ...]
    measures: tuple[Measure, ...]
    mergeable: bool = True


class Contract(msgspec.Struct, frozen=True):
    """A validated contract: every name refers to a field, and every bound fits its field's type.

    Attributes:
        id: fields whose values make the id together; none for a digest of the received record.
        max_rejected: share of a day's events, from 0 to 1, above which rejected events make the day carry a warning.
        source: how the files of these events are written.
        mask_key: the key of masked values; None if it isn't known.
    """

    path: str
    name: str
    id: tuple[str, ...]
    user: str
    time: str
    bucket: Literal["day", "hour"]
    fields: tuple[Field, ...]
    unknown_fields: Literal["keep", "drop", "reject"]
    max_rejected: float | None
    aggregates: tuple[Aggregate, ...]
    source: SourceFormat
    mask_key: MaskKey | None = None

    def field(self, name: str) -> Field:
        """Return the field with that name; raise KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @property
    def hashed(self) -> tuple[str, ...]:
        """Names of the fields with `mask = "hash"`, which need the key."""
        return tuple(field.name for field in self.fields if field.mask == "hash")

    def require_mask_key(self) -> None:
        """Raise SettingsError if the contract needs a key and has none."""
        if self.hashed and self.mask_key is None:
            raise SettingsError(
                f"{VARIABLE}: found nothing, expected {MIN_KEY_CHARS} or more secret characters, such as the output of "
                f"`openssl rand -hex 32`, since {self.path} has mask = hash in fields.{self.hashed[0]}"
            )

    def of_canonical_events(self) -> Contract:
        """Return the contract for events that are canonical already: top-level fields and RFC 3339 timestamps."""
        fields = (replace(field, path=(field.name,), unit=None, format=None) for field in self.fields)
        return replace(self, fields=tuple(fields))

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings that determine cell keys, as JSON values.

        Two contracts with equal fingerprints give every event the same cell key.
        """
        key_fields = {*self.id, self.user, self.time}
        keys = ("path", "type", "default", "trim", "case", "unit", "format", "mask")
        fields = {
            field.name: {key: value for key in keys if (value := getattr(field, key))}
            for field in self.fields
            if field.name in key_fields
        }
        layout: dict[str, Any] = {
            "id": self.id or (DIGEST,),
            "user": self.user,
            "time": self.time,
            "bucket": self.bucket,
            "fields": fields,
        }
        if any("mask" in settings for settings in fields.values()):
            layout["mask_key"] = self.mask_key and self.mask_key.fingerprint
        return layout
