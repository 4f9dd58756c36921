"""Read a contract file and check that its tables are consistent."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from shared.contracts.masks import MaskKey
from shared.contracts.model import DIGEST, RESERVED_DIMENSION, Aggregate, Contract, Field, Measure
from shared.contracts.paths import join_path, split_path
from shared.contracts.schema import AggregateTable, ChecksTable, EventTable, FieldTable, check_value
from shared.contracts.source import SourceFormat
from shared.errors import ContractError
from shared.row_keys import MAX_DIMENSION_BYTES, encode
from shared.toml_tables import Problem, only_keys, read_table, read_tables

# Characters that JSON escapes; the rollup's decoder only matches unescaped names.
_ESCAPED = re.compile(r'["\\\x00-\x1f]').search

# Keys of `[aggregates.NAME]` that aren't measures.
_AGGREGATE_KEYS = AggregateTable.__struct_fields__


def load_contract(path: Path | str, mask_key: str = "") -> Contract:
    """Read a contract file.

    Args:
        path: of the file.
        mask_key: secret of `mask = "hash"`; only what validates events needs it.

    Raises:
        SettingsError: the secret is too short.
        ContractError: the file can't be read, isn't TOML or is inconsistent. The text names the file, the key, the
            value found and the value expected.
    """
    return parse_contract(parse_toml(read_text(path), str(path)), str(path), mask_key)


def read_text(path: Path | str) -> str:
    """Return the text of a contract file, without a byte order mark.

    Raises:
        ContractError: the file can't be read or isn't UTF-8.
    """
    try:
        return Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise ContractError(f"{path}: can't be read: {error.strerror}; expected a contract file") from None
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: byte {error.start} isn't UTF-8; expected a TOML file in UTF-8") from None
    except ValueError as error:  # a NUL in the path
        raise ContractError(f"{path!r}: can't be read: {error}; expected a contract file") from None


def parse_toml(text: str, path: str) -> dict[str, Any]:
    """Return the document that the text of a contract is; `path` is named in error texts.

    Raises:
        ContractError: the text isn't TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, or an integer with too many digits
        raise ContractError(f"{path}: not TOML: {error}") from None


def parse_contract(document: Mapping[str, Any], path: str, mask_key: str = "") -> Contract:
    """Return the contract that a parsed file describes; `path` is named in error texts.

    Raises:
        ContractError, SettingsError: like `load_contract`.
    """
    try:
        contract = _parse(document, path)
        return replace(contract, mask_key=MaskKey(mask_key)) if mask_key and contract.hashed else contract
    except Problem as problem:
        raise ContractError(f"{path}: {problem}") from None


def _parse(document: Mapping[str, Any], path: str) -> Contract:
    only_keys(document, {"version", "name", "source", "event", "fields", "checks", "aggregates"})
    version, name = document.get("version"), document.get("name")
    if version != 1 or isinstance(version, bool):
        raise Problem("version", version, "1")
    if not isinstance(name, str) or not name:
        raise Problem("name", name, "a name for these events, as text")
    source = read_table(SourceFormat, document.get("source", {}), "source")
    source.check()
    event = read_table(EventTable, document.get("event"), "event")
    checks = read_table(ChecksTable, document.get("checks", {}), "checks")
    checks.check()
    fields = {
        key: _make_field(key, read_table(FieldTable, table, f"fields.{key}"))
        for key, table in read_tables(document, "fields").items()
    }
    _check_paths(fields)
    ids = _ids(event, fields)
    fields = _check_event(event, ids, fields, document["fields"])
    aggregates = tuple(
        _make_aggregate(key, table, fields)
        for key, table in read_tables(document, "aggregates", required=False).items()
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
        source=source,
    )


def _ids(event: EventTable, fields: Mapping[str, Field]) -> tuple[str, ...]:
    """Return the fields of the id, none for a digest."""
    ids = (event.id,) if isinstance(event.id, str) else tuple(event.id)
    if not ids or len(set(ids)) != len(ids):
        raise Problem("event.id", event.id, "a field, or a list of different fields")
    return () if ids == (DIGEST,) and DIGEST not in fields else ids


def _check_event(
    event: EventTable, ids: tuple[str, ...], fields: dict[str, Field], tables: Mapping[str, Any]
) -> dict[str, Field]:
    """Check the fields that determine the cell key, and return all fields with these required."""
    scalars = ("string", "integer", "number", "boolean", "timestamp")
    roles: list[tuple[str, str, tuple[str, ...]]] = [("id", each, scalars) for each in ids]
    roles += [("user", event.user, ("string", "integer")), ("time", event.time, ("timestamp",))]
    checked = dict(fields)
    for role, name, types in roles:
        field = fields.get(name)
        if field is None:
            raise Problem(f"event.{role}", name, f"one of the fields: {', '.join(fields) or 'none is defined'}")
        if field.type not in types:
            raise Problem(f"fields.{name}.type", field.type, f"{' or '.join(types)}, since it is the event's {role}")
        if field.mask and (role == "time" or field.mask == "drop"):
            allowed = "no mask" if role == "time" else "hash or no mask"
            raise Problem(f"fields.{name}.mask", field.mask, f"{allowed}, since it is the event's {role}")
        if field.severity != "reject":
            raise Problem(f"fields.{name}.severity", field.severity, f"reject, since it is the event's {role}")
        if tables[name].get("required", True) is False:
            raise Problem(f"fields.{name}.required", False, f"true, since it is the event's {role}")
        if role != "user" and field.default is not None:
            raise Problem(f"fields.{name}.default", field.default, f"no default, since it is the event's {role}")
        checked[name] = replace(field, required=True)
    return checked


def _make_field(name: str, table: FieldTable) -> Field:
    """Return the field that a table `[fields.<name>]` describes; raise Problem for an invalid table."""
    if not name or name.startswith("_") or _ESCAPED(name):
        raise Problem("fields", name, "a name that isn't empty, doesn't begin with '_', has no quotes or backslashes")
    path = split_path(table.from_) if table.from_ else (name,)
    if path is None:
        expected = """keys joined by single dots, such as actor.login; a key with dots in quotes: 'a."b.c"'"""
        raise Problem(f"fields.{name}.from", table.from_, expected)
    table.check(f"fields.{name}")
    return Field(
        name=name,
        path=path,
        type=table.type,
        required=table.required,
        severity=table.severity,
        default=table.default,
        trim=table.trim,
        case=table.case,
        unit=table.unit,
        format=table.format,
        one_of=None if table.one_of is None else tuple(table.one_of),
        pattern=table.pattern,
        min_length=table.min_length,
        max_length=table.max_length,
        minimum=table.min,
        maximum=table.max,
        max_future=table.duration("max_future", f"fields.{name}"),
        max_age=table.duration("max_age", f"fields.{name}"),
        mask=table.mask,
    )


def _check_paths(fields: Mapping[str, Field]) -> None:
    """Raise Problem for two fields with the same path, or with a path inside the other's path."""
    taken: dict[tuple[str, ...], str] = {}
    for field in sorted(fields.values(), key=lambda each: len(each.path)):
        for length in range(1, len(field.path) + 1):
            other = taken.get(field.path[:length])
            if other is not None:
                raise Problem(
                    f"fields.{field.name}.from",
                    join_path(field.path),
                    f"a path that doesn't overlap with fields.{other}",
                )
        taken[field.path] = field.name


def _make_aggregate(dimension: str, table: Any, fields: Mapping[str, Field]) -> Aggregate:
    """Return the aggregate that a table `[aggregates.<dimension>]` describes; raise Problem for an invalid table."""
    where = f"aggregates.{dimension}"
    if (
        dimension == RESERVED_DIMENSION
        or dimension.startswith("_")
        or not 0 < len(encode(dimension)) <= MAX_DIMENSION_BYTES
    ):
        raise Problem(
            "aggregates",
            dimension,
            f"a name other than {RESERVED_DIMENSION!r}, of 1 to {MAX_DIMENSION_BYTES} bytes percent-encoded, "
            "that doesn't begin with '_'",
        )
    if not isinstance(table, dict):
        raise Problem(where, table, "a table")
    head = read_table(AggregateTable, {key: table[key] for key in _AGGREGATE_KEYS if key in table}, where)
    if head.by is not None and fields.get(head.by, None) is None:
        raise Problem(f"{where}.by", head.by, f"one of the fields: {', '.join(fields)}")
    if head.by is not None and fields[head.by].type in ("object", "array", "number", "timestamp"):
        raise Problem(f"{where}.by", head.by, "a field of type string, integer or boolean")
    if head.by is not None and fields[head.by].mask == "drop":
        raise Problem(f"{where}.by", head.by, "a field that is stored, without mask = drop")
    conditions = []
    for name, value in head.where.items():
        if name not in fields:
            raise Problem(f"{where}.where", name, f"one of the fields: {', '.join(fields)}")
        if fields[name].mask:
            raise Problem(f"{where}.where", name, "a field without a mask, since masked values can't be compared")
        values = tuple(value) if isinstance(value, list) else (value,)
        if not values:
            raise Problem(f"{where}.where.{name}", value, "at least one value")
        for each in values:
            check_value(fields[name].type, fields[name].one_of, each, f"{where}.where.{name}")
        conditions.append((name, values))
    measures = tuple(_measure(key, text, fields, where) for key, text in table.items() if key not in _AGGREGATE_KEYS)
    if not measures:
        raise Problem(where, table, 'at least one measure, such as total_events = "count"')
    for measure in measures:
        if measure.function == "unique" and measure.error_name in table:
            expected = f"another name: this one is reserved for the error bound of the estimate {measure.name}"
            raise Problem(f"{where}.{measure.error_name}", table[measure.error_name], expected)
    return Aggregate(dimension, head.by, tuple(conditions), measures, head.mergeable)


def _measure(name: str, text: Any, fields: Mapping[str, Field], where: str) -> Measure:
    if name.startswith("_") or not name:
        raise Problem(where, name, "a measure's name that isn't empty and doesn't begin with '_'")
    measure = Measure.parse(name, text) if isinstance(text, str) else None
    if measure is None:
        expected = '"count", or unique, sum, min, max or mean of a field, such as "sum(duration)"'
        raise Problem(f"{where}.{name}", text, expected)
    if measure.field is None:
        return measure
    if measure.field not in fields:
        raise Problem(f"{where}.{name}", text, f"a measure of one of the fields: {', '.join(fields)}")
    types = ("string", "integer", "number", "boolean") if measure.function == "unique" else ("integer", "number")
    if fields[measure.field].mask and (fields[measure.field].mask == "drop" or measure.function != "unique"):
        raise Problem(f"{where}.{name}", text, "a field without a mask, or unique of a field with mask = hash")
    if fields[measure.field].type not in types:
        raise Problem(f"{where}.{name}", text, f"a field of type {' or '.join(types)}")
    return measure
