"""Make an event that satisfies a contract, with an id of its own, the user `sluice-smoke` and the current time."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from shared.contracts.model import Contract, Field
from shared.errors import SourceError
from shared.row_keys import decode
from shared.timestamps import EPOCH, RFC_2822, SPREADSHEET_EPOCH
from shared.validation.checks import value_check
from shared.validation.results import Accepted
from shared.validation.transform import shape_of
from shared.validation.validator import Validator

USER = "sluice-smoke"

# Texts that match patterns of common kinds: codes, numbers, versions, addresses.
_TEXTS = (
    "a",
    "A",
    "0",
    "abc",
    "ABC",
    "US",
    "en-US",
    "1.0.0",
    "sluice/smoke",
    "smoke@example.com",
    "https://example.com",
    "192.0.2.1",
)
_MAX_EXACT_INTEGER = 2**53 - 1  # JSON parsers may change larger integers


class SmokeEvent(NamedTuple):
    """An event that the contract accepts.

    Attributes:
        raw: as a producer sends it.
        verdict: its cell and canonical form under the contract.
        id, user: as they are stored.
    """

    raw: bytes
    verdict: Accepted
    id: str
    user: str


def make_event(contract: Contract, now: datetime, template: dict[str, Any] | None = None) -> SmokeEvent:
    """Make an event of the contract's required fields, or from a template whose id, user and time are replaced.

    An id or a user of the template stays if no generated one satisfies the contract.

    Args:
        contract: of the function.
        now: the event's time.
        template: an event as a producer sends it.

    Raises:
        SourceError: the event breaks the contract; the text has each field and its rule.
    """
    unique = uuid.uuid4()
    key_fields = {*contract.id, contract.user, contract.time}
    record: dict[str, Any] = {} if template is None else msgspec.json.decode(msgspec.json.encode(template))
    set_fields = [each for each in contract.fields if each.name in key_fields or (template is None and each.required)]
    unset = [
        field.name
        for field in set_fields
        if not _set_value(record, field, _candidates(field, contract, unique, now), now)
    ]
    raw = msgspec.json.encode(record)
    verdict = Validator(contract).validate(raw, now)
    if not isinstance(verdict, Accepted):
        findings = "; ".join(
            f"{each.field or 'event'}: found {each.found}, expected {each.expected}" for each in verdict.findings
        )
        unset_text = f" (no value could be made for {', '.join(unset)})" if unset else ""
        remedy = "correct the event of --event" if template is not None else "pass a valid event with --event FILE"
        raise SourceError(f"{contract.path}: no event could be made{unset_text}: {findings}; {remedy}")
    stored = msgspec.json.decode(verdict.value)
    encoded_id = verdict.cell_key.qualifier.decode().split("#")[1]
    return SmokeEvent(raw, verdict, ":".join(map(decode, encoded_id.split(":"))), str(stored[contract.user]))


def read_template(path: Path) -> dict[str, Any]:
    """Read a file with one event.

    Raises:
        SourceError: the file can't be read, or isn't one JSON object.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise SourceError(f"{path}: can't be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: found {error}, expected one event as a JSON object") from None


def _set_value(record: dict[str, Any], field: Field, candidates: Iterator[Any], now: datetime) -> bool:
    """Set a field to its first valid candidate; return False and change nothing if none is valid."""
    shape, check = shape_of(field) or _same, value_check(field)
    for value in candidates:
        if not check(shape(value), now):
            break
    else:
        return False
    *parents, last = field.path
    for key in parents:
        inner = record.get(key)
        record[key] = inner if isinstance(inner, dict) else {}
        record = record[key]
    record[last] = value
    return True


def _candidates(field: Field, contract: Contract, unique: uuid.UUID, now: datetime) -> Iterator[Any]:
    """Yield values for a field in the order of preference; the first valid one is taken."""
    if field.type == "timestamp":
        yield _format_time(field, now)
    elif field.one_of:
        yield from field.one_of
    elif field.type in ("integer", "number"):
        bounds = [each for each in (field.minimum, field.maximum) if each is not None and math.isfinite(each)]
        low = math.ceil(bounds[0]) if bounds and bounds[0] == field.minimum else 0
        high = low + _MAX_EXACT_INTEGER
        if bounds and bounds[-1] == field.maximum:
            high = min(high, math.floor(bounds[-1]))
        if field.name in contract.id and low <= high:
            yield low + unique.int % (high - low + 1)
        yield from (low, *bounds)
    elif field.type == "boolean":
        yield True
    elif field.type == "object":
        yield {f"key{number}": number for number in range(field.min_length or 0)}
    elif field.type == "array":
        yield list(range(field.min_length or 0))
    else:
        for text in _texts(field, contract, unique):
            text = text + "0" * ((field.min_length or 0) - len(text))
            yield text if field.max_length is None else text[max(0, len(text) - field.max_length) :]


def _texts(field: Field, contract: Contract, unique: uuid.UUID) -> Iterator[str]:
    if field.name in contract.id:
        yield f"{USER}-{unique}"
        letters = "".join(chr(ord("a") + int(digit, 16)) for digit in unique.hex)
        yield from (str(unique), unique.hex, unique.hex.upper(), letters, letters.upper(), str(unique.int))
        return
    yield from (USER, USER.replace("-", "_"), USER.replace("-", ""), USER.replace("-", "").upper())
    yield from _TEXTS
    yield from (str(unique), unique.hex, unique.hex.upper())
    yield from ("1" * length for length in range(2, 20))
    yield from ("A" * length for length in range(2, 20))


def _format_time(field: Field, now: datetime) -> Any:
    """Return the time in the notation of a field."""
    if field.format == RFC_2822:
        return format_datetime(now)
    if field.unit == "serial_days":
        return (now - SPREADSHEET_EPOCH) / timedelta(days=1)
    if field.unit:
        microseconds = (now - EPOCH).days * 86_400_000_000 + (now - EPOCH).seconds * 1_000_000 + now.microsecond
        return microseconds * 1_000 // {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}[field.unit]
    return now.strftime(field.format) if field.format else now.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _same(value: Any) -> Any:
    return value
