"""A contract file, read and held to its own rules: what events look like, how they are judged, what is counted."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from shared.contract_aggregate import Aggregate, make_aggregate
from shared.contract_field import Field, check_paths, make_field
from shared.contract_file import ChecksTable, EventTable, FieldTable, Problem, only_keys, read_table, read_tables
from shared.errors import ContractError


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that holds together: every name in it leads somewhere, every bound fits its type.

    Attributes:
        max_rejected: the share of a day's events that may be rejected before the day carries a warning.
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

    def field(self, name: str) -> Field:
        """Return the field of that name; KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def of_canonical_events(self) -> Contract:
        """Return the contract by which an event is read that already goes by this contract's own names and forms."""
        fields = (replace(field, path=(field.name,), unit=None, format=None) for field in self.fields)
        return replace(self, fields=tuple(fields))

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the places of events in the tables, as plain JSON values.

        Two contracts of equal fingerprints put every event in the same cell.
        """
        placing = {*self.id, self.user, self.time}
        shaping = ("path", "type", "default", "trim", "case", "unit", "format")
        fields = {
            field.name: {key: value for key in shaping if (value := getattr(field, key))}
            for field in self.fields
            if field.name in placing
        }
        return {"id": self.id, "user": self.user, "time": self.time, "bucket": self.bucket, "fields": fields}


def load(path: Path | str) -> Contract:
    """Read a contract file.

    Raises:
        ContractError: it can't be read, isn't TOML, or doesn't hold together; the text has the file, the key, what was
            found and what was expected.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ContractError(f"{path}: can't be read: {error.strerror}; expected a contract file") from None
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: byte {error.start} isn't UTF-8; expected a TOML file in UTF-8") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and an integer of too many digits
        raise ContractError(f"{path}: not TOML: {error}") from None
    return parse(document, str(path))


def parse(document: Mapping[str, Any], path: str) -> Contract:
    """Make a contract of what a contract file says; `path` is for messages.

    Raises:
        ContractError: like `load`.
    """
    try:
        return _parse(document, path)
    except Problem as problem:
        raise ContractError(f"{path}: {problem}") from None


def _parse(document: Mapping[str, Any], path: str) -> Contract:
    only_keys(document, {"version", "name", "event", "fields", "checks", "aggregates"})
    version, name = document.get("version"), document.get("name")
    if version != 1 or isinstance(version, bool):
        raise Problem("version", version, "1")
    if not isinstance(name, str) or not name:
        raise Problem("name", name, "a name for these events, as text")
    event = read_table(EventTable, document.get("event"), "event")
    checks = read_table(ChecksTable, document.get("checks", {}), "checks")
    checks.check()
    fields = {
        key: make_field(key, read_table(FieldTable, table, f"fields.{key}"))
        for key, table in read_tables(document, "fields").items()
    }
    check_paths(fields)
    ids = (event.id,) if isinstance(event.id, str) else tuple(event.id)
    fields = _check_event(event, ids, fields, document["fields"])
    aggregates = tuple(
        make_aggregate(key, table, fields) for key, table in read_tables(document, "aggregates", required=False).items()
    )
    return Contract(
        path=path,
        name=name,
        id=ids,
        user=event.user,
        time=event.time,
        bucket=event.bucket,
        fields=tuple(fields.values()),
        unknown_fields=checks.unknown_fields,
        max_rejected=checks.max_rejected,
        aggregates=aggregates,
    )


def _check_event(
    event: EventTable, ids: tuple[str, ...], fields: dict[str, Field], tables: Mapping[str, Any]
) -> dict[str, Field]:
    """Hold the fields that place an event to what a place needs, and make them required."""
    if not ids or len(set(ids)) != len(ids):
        raise Problem("event.id", event.id, "a field, or a list of different fields")
    roles: list[tuple[str, str, tuple[str, ...]]] = [("id", each, ("string", "integer")) for each in ids]
    roles += [("user", event.user, ("string", "integer")), ("time", event.time, ("timestamp",))]
    placed = dict(fields)
    for role, name, types in roles:
        field = fields.get(name)
        if field is None:
            raise Problem(f"event.{role}", name, f"one of the fields: {', '.join(fields) or 'none is defined'}")
        if field.type not in types:
            raise Problem(f"fields.{name}.type", field.type, f"{' or '.join(types)}, since it is the event's {role}")
        if field.severity != "reject":
            raise Problem(f"fields.{name}.severity", field.severity, f"reject, since it is the event's {role}")
        if tables[name].get("required", True) is False:
            raise Problem(f"fields.{name}.required", False, f"true, since it is the event's {role}")
        if role != "user" and field.default is not None:
            raise Problem(f"fields.{name}.default", field.default, f"no default, since it is the event's {role}")
        placed[name] = replace(field, required=True)
    return placed
