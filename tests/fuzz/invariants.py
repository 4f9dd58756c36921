"""Invariants of every message, checked by the fuzzer and by unit tests."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from shared import row_keys, timestamps
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from shared.ingest.pipeline import validate_message
from shared.pubsub.message import (
    CONTENT_ENCODING,
    CONTENT_TYPE,
    LINES,
    MAX_EVENTS_PER_MESSAGE,
    Message,
    UnpackError,
    receive,
    unpack,
)
from shared.timestamps import EPOCH, parse_day
from shared.validation.results import Accepted, Rejected
from shared.validation.validator import Validator

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CORPUS = HERE / "corpus"

PUBLISHED = datetime(2024, 1, 16, tzinfo=UTC)

# Bits of an input's first byte; the lower three choose the contract.
AS_LINES, AS_GZIP, AS_BODY, LENIENT = 0x08, 0x10, 0x20, 0x40
# Events of a message that are also validated in other messages.
_MAX_REPACKED_EVENTS = 20

_ENCODED = rb"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*"
_ROW = {
    "day": re.compile(rb"[0-3][0-9a-f]#\d{8}#" + _ENCODED),
    "hour": re.compile(rb"[0-3][0-9a-f]#\d{8}#" + _ENCODED + rb"#(?:[01]\d|2[0-3])"),
}


class Subject(NamedTuple):
    """A contract and its validator under test.

    Attributes:
        canonical_validator: validator of canonical events; None without quality checks.
    """

    contract: Contract
    validator: Validator
    canonical_validator: Validator | None


@cache
def subject(which: int, *, quality: bool = True) -> Subject:
    """Return one of eight; some differ only in the time's notation or in the handling of unknown fields."""
    contract = _contracts()[which % 8]
    canonical_validator = Validator(contract.of_canonical_events()) if quality else None
    return Subject(contract, Validator(contract, quality=quality), canonical_validator)


@cache
def _contracts() -> tuple[Contract, ...]:
    shipped = [load_contract(ROOT / "shared" / "contracts" / f"{name}.toml") for name in ("music", "sparkify")]
    everything = load_contract(HERE / "everything.toml")
    dropping = replace(everything, unknown_fields="drop")
    return (
        *shipped,
        everything,
        replace(dropping, bucket="day"),
        *(_with_time(dropping, name) for name in ("seconds", "millis", "written", "rfc")),
    )


def _with_time(contract: Contract, name: str) -> Contract:
    """Return the contract with the named field as the event's time."""
    fields = (
        replace(field, required=True, severity="reject")
        if field.name == name
        else replace(field, required=False)
        if field.name == contract.time
        else field
        for field in contract.fields
    )
    return replace(contract, time=name, fields=tuple(fields))


def check_input(data: bytes) -> None:
    """Check all invariants of an input of the fuzzer: a byte of flags, followed by a message's data.

    Raises:
        AssertionError: an invariant is broken; other exceptions are bugs too.
    """
    flags, content = (data[0], data[1:]) if data else (0, b"")
    message = _message(flags, content)
    _check_message(subject(flags & 7, quality=not flags & LENIENT), message)


def _message(flags: int, content: bytes) -> Message:
    if flags & AS_BODY:
        try:
            body: Any = json.loads(content)
        except (ValueError, RecursionError):
            body = content
        return receive(body, {"id": "1", "time": PUBLISHED.isoformat()})
    attributes = {CONTENT_TYPE: LINES} if flags & AS_LINES else {}
    if flags & AS_GZIP:
        attributes[CONTENT_ENCODING] = "gzip"
    return Message(content, "1", PUBLISHED, attributes)


def _check_message(under_test: Subject, message: Message) -> None:
    """Check the invariants of a message, of each event in it, and of the packing."""
    message.message_id.encode("utf-8", "surrogatepass")
    assert message.published >= EPOCH
    verdicts = validate_message(under_test.validator, message)
    assert validate_message(under_test.validator, message) == verdicts, "a second validation gives another verdict"
    try:
        raws = unpack(message)
    except UnpackError:
        raws = [message.data]
    assert len(raws) == len(verdicts) <= MAX_EVENTS_PER_MESSAGE
    for raw, verdict in zip(raws, verdicts, strict=True):
        _check_verdict(under_test, verdict, raw, message.published)
    if not message.problem:
        _check_packing(under_test, [raw for raw in raws if raw and b"\n" not in raw][:_MAX_REPACKED_EVENTS])


def _check_packing(under_test: Subject, events: list[bytes]) -> None:
    """Check that a verdict doesn't depend on the other events of the message."""
    alone = [under_test.validator.validate(event, PUBLISHED) for event in events]
    if not events:
        return
    for cut in {0, 1, len(events) // 2}:
        parts = [part for part in (events[:cut], events[cut:]) if part]
        packed = [Message(b"\n".join(part), "1", PUBLISHED, {CONTENT_TYPE: LINES}) for part in parts]
        verdicts = [verdict for message in packed for verdict in validate_message(under_test.validator, message)]
        assert verdicts == alone, "a verdict depends on the other events of the message"


def _check_verdict(under_test: Subject, verdict: Accepted | Rejected, raw: bytes, published: datetime) -> None:
    """Check the invariants of a verdict: findings, cell key and value."""
    findings = verdict.findings if isinstance(verdict, Rejected) else verdict.warnings
    assert msgspec.json.encode(findings).decode()
    for finding in findings:
        assert len(finding.found) + len(finding.field) <= 400, "a finding quotes too much"
    if isinstance(verdict, Rejected):
        assert verdict.raw == raw
        assert any(finding.severity == "reject" for finding in findings), "no finding rejects the event"
        row_keys.rejected_row(verdict.raw, published.date())
    else:
        assert all(finding.severity == "warn" for finding in findings)
        _check_cell_key(under_test.contract, verdict)
        _check_canonical_event(under_test, verdict, published)


def _check_cell_key(contract: Contract, verdict: Accepted) -> None:
    row_key, qualifier, micros = verdict.cell_key
    assert _ROW[contract.bucket].fullmatch(row_key), row_key
    assert len(row_key) <= row_keys.MAX_ROW_KEY_BYTES
    assert re.fullmatch(rb"\d{11}#" + rb":".join([_ENCODED] * len(contract.id)), qualifier), qualifier
    assert len(qualifier) <= row_keys.MAX_QUALIFIER_BYTES
    assert micros >= 0
    assert micros % 1_000 == 0
    # the cell key contains the event's user, id and time
    event = json.loads(verdict.value)
    assert row_keys.user_of_row(row_key) == str(event[contract.user])
    assert [row_keys.decode(part) for part in qualifier[12:].decode().split(":")] == [
        str(event[name]) for name in contract.id
    ]
    day = parse_day(row_key.split(b"#")[1].decode())
    end_of_day = datetime(day.year, day.month, day.day, 23, 59, 59, 999_999, tzinfo=UTC)
    time = end_of_day - timedelta(microseconds=int(qualifier[:11]))
    assert time == timestamps.reader(None, None)(event[contract.time])
    assert micros == (time - EPOCH) // timedelta(milliseconds=1) * 1_000


def _check_canonical_event(under_test: Subject, verdict: Accepted, published: datetime) -> None:
    """Check that the validation of an accepted canonical event gives the same cell key and value."""
    if under_test.canonical_validator is None or verdict.warnings:
        return  # a value that breaks a rule stays unchanged, and can be valid in canonical notation
    again = under_test.canonical_validator.validate(verdict.value, published)
    assert isinstance(again, Accepted), again
    assert again.cell_key == verdict.cell_key
    assert json.loads(again.value) == json.loads(verdict.value)
