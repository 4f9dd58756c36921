"""Infer a contract from the columns of a sample: fields, rules that the sample keeps, roles and measures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.contracts.inference import names
from infra.contracts.inference.columns import Column, Path
from infra.contracts.inference.roles import Roles
from infra.contracts.inference.times import Notation
from shared.contracts.model import RESERVED_DIMENSION
from shared.contracts.paths import join_path

# An enumeration has few values, each of them often.
_MOST_OPTIONS, _LEAST_USES = 20, 10
_MAX_OPTION_CHARS = 64
# A path in fewer of the records isn't described; its values are kept as they are.
_RARE = 0.005
_MOST_FIELDS = 400
_KINDS: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}


@dataclass
class DraftField:
    """A field of the inferred contract.

    Attributes:
        keys: of its table, in order, without `from`.
        comments: what the sample shows, and what a person has to check.
    """

    name: str
    path: Path
    keys: dict[str, Any]
    comments: list[str] = field(default_factory=list)


@dataclass
class Draft:
    """The inferred contract.

    Attributes:
        ids: the names of the fields of the id; empty for a digest of the record.
        aggregates: the tables of the dimensions.
        checks: what a person has to check, by key of `[event]`.
        omitted: paths that aren't described, each with the reason.
    """

    name: str
    ids: tuple[str, ...]
    user: str
    time: str
    fields: list[DraftField]
    aggregates: dict[str, dict[str, Any]]
    checks: dict[str, str]
    omitted: list[str]


def draft_contract(name: str, columns: Sequence[Column], notations: Mapping[Column, Notation], roles: Roles) -> Draft:
    """Return the contract that describes the columns."""
    keys = {*roles.ids, roles.user, roles.time}
    described: list[Column] = []
    omitted: list[str] = []
    for column in columns:
        reason = None if column in keys else _reason_to_omit(column, notations)
        if reason is None and len(described) >= _MOST_FIELDS:
            reason = f"the contract has {_MOST_FIELDS} fields already"
        if reason is None:
            described.append(column)
        else:
            omitted.append(f"{join_path(column.path)}: {reason}")
    named = dict(zip(described, names.field_names([column.path for column in described]), strict=True))
    fields = [_field(named[column], column, notations.get(column), key=column in keys) for column in described]
    return Draft(
        name=name,
        ids=tuple(named[column] for column in roles.ids),
        user=named[roles.user],
        time=named[roles.time],
        fields=fields,
        aggregates=_aggregates(fields, named[roles.user], {named[column] for column in keys}),
        checks=_checks(roles),
        omitted=omitted,
    )


def _reason_to_omit(column: Column, notations: Mapping[Column, Notation]) -> str | None:
    if not column.present:
        return "always null"
    if column not in notations and not column.only(int, float) and len(column.kinds) > 1:
        kinds = ", ".join(sorted(_KINDS[kind] for kind in column.kinds))
        return f"values of several types ({kinds})"
    if column.null_share > 1 - _RARE:
        return f"null in all but {len(column.present):,} records"
    return None


def _field(name: str, column: Column, notation: Notation | None, *, key: bool) -> DraftField:
    draft = DraftField(name, column.path, {"type": _type_of(column, notation)})
    if column.null_share:
        draft.comments.append(f"{column.null_share:.1%} null" + (": these events are rejected" if key else ""))
    if notation is not None:
        _describe_times(draft, notation)
    elif column.only(str):
        _describe_texts(draft, column, key)
    elif column.only(int, float):
        _describe_numbers(draft, column, key)
    return draft


def _type_of(column: Column, notation: Notation | None) -> str:
    if notation is not None:
        return "timestamp"
    kinds = set(column.kinds)
    if kinds == {int, float}:
        return "number"
    return _KINDS[next(iter(kinds))] if len(kinds) == 1 else "string"


def _describe_times(draft: DraftField, notation: Notation) -> None:
    if notation.unit:
        draft.keys["unit"] = notation.unit
    if notation.format:
        draft.keys["format"] = notation.format
    times = [time for time in notation.times if time is not None]
    draft.comments.append(f"from {min(times):%Y-%m-%d %H:%M:%S} to {max(times):%Y-%m-%d %H:%M:%S} UTC")
    if notation.share < 1:
        draft.comments.append(f"{1 - notation.share:.1%} aren't times in this notation")
    if notation.ambiguous:
        draft.comments.append(f'check: "{notation.ambiguous}" also reads all values of the sample')


def _describe_texts(draft: DraftField, column: Column, key: bool) -> None:
    lengths = list(map(len, column.present))
    options = list(column.counts)
    if (
        not key
        and 1 < len(options) <= _MOST_OPTIONS
        and len(column.present) >= _LEAST_USES * len(options)
        and max(lengths) <= _MAX_OPTION_CHARS
    ):
        draft.keys |= {"one_of": sorted(options), "severity": "warn"}
    elif len(options) == 1:
        draft.comments.append(f"always {_shortened(options[0])}")
    else:
        draft.comments.append(f"{len(options):,} different values, {min(lengths)} to {max(lengths)} characters")


def _describe_numbers(draft: DraftField, column: Column, key: bool) -> None:
    low, high = min(column.present), max(column.present)
    draft.comments.append(f"from {low} to {high}")
    words = names.words_of(column.path[-1])
    if column.only(int) and low >= 100 and high <= 599 and {"status", "code"} & set(words):
        draft.keys |= {"min": 100, "max": 599}
    elif low >= 0 and (key or not names.is_id(column.path)):
        draft.keys["min"] = 0
    if not key and "min" in draft.keys:
        draft.keys["severity"] = "warn"


def _checks(roles: Roles) -> dict[str, str]:
    checks = {}
    if not roles.ids:
        checks["id"] = "check: no id was found, so equal records are one event"
    else:
        share = "unique in the sample" if roles.unique == 1 else f"unique in {roles.unique:.1%} of the sample"
        checks["id"] = share if len(roles.ids) == 1 else f"check: together {share}"
    checks["user"] = f"{roles.user.distinct:,} different values"
    for key, others in (("user", roles.other_users), ("time", roles.other_times)):
        if others:
            shown = ", ".join(join_path(each.column.path) for each in others[:3])
            checks[key] = f"{checks[key]}; " if key in checks else ""
            checks[key] += f"check: or {shown}"
    return checks


def _aggregates(fields: Sequence[DraftField], user: str, keys: set[str]) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {
        "all": {"events": "count", "users": f"unique({user})"},
        "user": {"by": user, "events": "count"},
    }
    kinds = [each for each in fields if each.name not in keys and "one_of" in each.keys]
    kind = max(kinds, key=lambda each: names.kind_score(each.path), default=None)
    if kind is not None and names.kind_score(kind.path) and kind.name not in (*tables, RESERVED_DIMENSION):
        tables[kind.name] = {"by": kind.name, "events": "count", "users": f"unique({user})"}
    return tables


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
