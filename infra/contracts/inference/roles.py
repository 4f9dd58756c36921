"""Find the fields of a sample that say what an event is, whose it is and when it happened. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations
from typing import Any

from infra.contracts.inference import names
from infra.contracts.inference.columns import Column
from infra.contracts.inference.times import Notation
from shared.contracts.paths import join_path
from shared.errors import SourceError

# Shares of the distinct records. A log can have broken records, and an id has to be unique in all others.
_LEAST_UNIQUE, _MOST_NULL_IDS, _MOST_NULL_USERS, _LEAST_TIMES = 0.99, 0.05, 0.5, 0.95
_MOST_PARTS, _PARTS_TRIED = 4, 10
_MAX_ID_CHARS = 500
_TRUTHS = {"true", "false", "yes", "no"}
_LEAST_ID_SCORE, _LEAST_ROWS = 4, 20


@dataclass(frozen=True)
class Candidate:
    """A column that can serve in a role; the highest score is chosen."""

    column: Column
    score: float
    reason: str


@dataclass(frozen=True)
class Roles:
    """The columns of an event's id, user and time.

    Attributes:
        ids: the columns of the id; empty if only a digest of the record identifies the event.
        unique: the share of the records whose id differs from those of all others of the same user and day.
        other_users, other_times: further candidates, best first.
    """

    ids: tuple[Column, ...]
    unique: float
    user: Column
    time: Column
    notation: Notation
    other_users: tuple[Candidate, ...]
    other_times: tuple[Candidate, ...]


def time_candidates(columns: Sequence[Column], notations: Mapping[Column, Notation]) -> list[Candidate]:
    """Return the columns that can be the event's time, best first."""
    found = []
    for column, notation in notations.items():
        named = names.time_score(column.path)
        if column.null_share > 1 - _LEAST_TIMES or notation.share < _LEAST_TIMES:
            continue
        score = (named or 0.0) + 3 * notation.ordered + 2 * notation.exact
        found.append(Candidate(column, score, f"{notation.ordered:.0%} in order of time"))
    return sorted(found, key=lambda each: -each.score)


def user_candidates(columns: Sequence[Column], notations: Mapping[Column, Notation]) -> list[Candidate]:
    """Return the columns that can be the event's user, best first."""
    found = []
    for column in columns:
        named = names.user_score(column.path)
        if named is None or column in notations or not column.only(str, int) or column.null_share > _MOST_NULL_USERS:
            continue
        if {str(value).lower() for value in column.counts} <= _TRUTHS:  # whether there is a user
            continue
        share_distinct = column.distinct / len(column.present)
        score = named - 6 * column.null_share
        score -= 2 * (share_distinct > 0.98 and len(column.present) > 20)  # an id of events rather than of users
        score -= 3 * (column.distinct == 1 and len(column.present) > 20)
        found.append(Candidate(column, score, f"{column.distinct} different values, {column.null_share:.1%} null"))
    return sorted(found, key=lambda each: -each.score)


def find_roles(
    columns: Sequence[Column],
    notations: Mapping[Column, Notation],
    records: Sequence[Mapping[str, Any]],
    *,
    ids: Sequence[Column] | None = None,
    user: Column | None = None,
    time: Column | None = None,
) -> Roles:
    """Return the columns of the id, the user and the time.

    Args:
        columns: of the sample.
        notations: of the columns that are times.
        records: of the sample, to leave out repeated ones.
        ids, user, time: the columns that a person has decided on.

    Raises:
        SourceError: no column can be the user or the time; the text names the columns that were seen.
    """
    times, users = time_candidates(columns, notations), user_candidates(columns, notations)
    chosen_time = time or (times[0].column if times else None)
    if chosen_time is None:
        raise SourceError(_nothing_found("time", "a time in nearly every record", columns))
    if chosen_time not in notations:
        shown = join_path(chosen_time.path)
        raise SourceError(f"--time {shown}: found {_shown(chosen_time)}, expected times in a notation of contracts")
    chosen_user = user or (users[0].column if users else None)
    if chosen_user is None:
        raise SourceError(_nothing_found("user", "a text or an integer that names a person or a machine", columns))
    notation = notations[chosen_time]
    rows = _rows_to_identify(records, chosen_user, chosen_time, notation)
    if ids is None:
        ids = next(_unique_ids(columns, notations, chosen_user, chosen_time, rows), ())
    return Roles(
        tuple(ids),
        _unique_share(ids, rows) if ids else 1.0,
        chosen_user,
        chosen_time,
        notation,
        tuple(each for each in users if each.column is not chosen_user),
        tuple(each for each in times if each.column is not chosen_time),
    )


@dataclass(frozen=True)
class _Rows:
    """The records that an id has to distinguish: those with a user and a time, without repeated ones.

    Attributes:
        numbers: of the records.
        owners: the user and the day of each of them.
    """

    numbers: list[int]
    owners: list[tuple[Any, date]]


def _rows_to_identify(records: Sequence[Mapping[str, Any]], user: Column, time: Column, notation: Notation) -> _Rows:
    moments = iter(notation.times)
    times: list[datetime | None] = [None if value is None else next(moments) for value in time.values]
    seen: set[str] = set()
    rows = _Rows([], [])
    for number, (record, owner, moment) in enumerate(zip(records, user.values, times, strict=True)):
        if owner is None or moment is None or (text := repr(record)) in seen:
            continue
        seen.add(text)
        rows.numbers.append(number)
        rows.owners.append((owner, moment.date()))
    return rows


def _unique_ids(
    columns: Sequence[Column], notations: Mapping[Column, Notation], user: Column, time: Column, rows: _Rows
) -> Iterator[tuple[Column, ...]]:
    """Yield the ids that are unique: single fields, then composed ones, those with the best names first."""
    usable = [column for column in columns if column is not user and column not in notations and _can_identify(column)]
    scored = [(names.id_score(column.path), column) for column in usable]
    singles = sorted((each for each in scored if each[0] is not None), key=lambda each: -(each[0] or 0))
    for score, column in singles:
        # An id of something else, such as a campaign, may be unique among few events by chance.
        certain = (score or 0) >= _LEAST_ID_SCORE or len(set(column.values)) == len(column.values) >= _LEAST_ROWS
        if certain and _unique_share([column], rows) >= _LEAST_UNIQUE:
            yield (column,)
    parts = sorted(
        ((score, column) for column in usable if (score := names.part_score(column.path)) is not None),
        key=lambda each: -each[0],
    )[:_PARTS_TRIED]
    order = {id(column): at for at, column in enumerate(columns)}
    for size in range(2, _MOST_PARTS + 1):
        sets = sorted(combinations(parts, size), key=lambda chosen: -sum(score for score, _ in chosen))
        for chosen in sets:
            # Ids of other things, such as a session or an account, need the number of the event within them.
            if any(names.counts_events(column.path) for _, column in chosen):
                composed = sorted((column for _, column in chosen), key=lambda column: order[id(column)])
                composed.sort(key=lambda column: -(names.id_score(column.path) or -9))
                if _unique_share(composed, rows) == 1.0:
                    yield tuple(composed)


def _can_identify(column: Column) -> bool:
    longest = max((len(value) for value in column.present if isinstance(value, str)), default=0)
    return column.only(str, int) and column.null_share <= _MOST_NULL_IDS and longest <= _MAX_ID_CHARS


def _unique_share(ids: Sequence[Column], rows: _Rows) -> float:
    """Return the share of the rows whose id differs from those of all other rows of their user and day."""
    keys = [
        (*owner, *(column.values[number] for column in ids))
        for number, owner in zip(rows.numbers, rows.owners, strict=True)
        if all(column.values[number] is not None for column in ids)
    ]
    return len(set(keys)) / len(keys) if keys else 0.0


def _nothing_found(role: str, expected: str, columns: Sequence[Column]) -> str:
    seen = "; ".join(f"{join_path(column.path)}: {_shown(column)}" for column in columns[:20])
    more = f"; and {len(columns) - 20} more" if len(columns) > 20 else ""
    problem = f"found no field that is the {role} of the events, expected {expected}"
    return f"{problem}; name it with --{role}. Fields: {seen}{more}"


def _shown(column: Column) -> str:
    if not column.present:
        return "null"
    text = str(column.present[0])
    return f"{text[:40]!r}" + (f" ({column.distinct} different values)" if column.distinct else "")
