"""What holds of every message, whatever is in it; a fuzzer and the unit tests ask the same."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

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

# The bits of an input's first byte that aren't the contract's.
AS_LINES, AS_GZIP, AS_BODY, LENIENT = 0x08, 0x10, 0x20, 0x40
# Events of a message that are packed in other ways too.
_FEW = 20

_ENCODED = rb"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*"
_ROW = {
    "day": re.compile(rb"[0-3][0-9a-f]#\d{8}#" + _ENCODED),
    "hour": re.compile(rb"[0-3][0-9a-f]#\d{8}#" + _ENCODED + rb"#(?:[01]\d|2[0-3])"),
}


class Judges(NamedTuple):
    """What a contract makes of events, and of those that it has stored if it has checked all of each."""

    contract: Contract
    validator: Validator
    stored: Validator | None


@cache
def judges(which: int, *, quality: bool = True) -> Judges:
    """Return one of eight; contracts alike but in how times are written, or in what becomes of unknown fields."""
    chosen = _contracts()[which % 8]
    stored = Validator(chosen.of_canonical_events()) if quality else None
    return Judges(chosen, Validator(chosen, quality=quality), stored)


@cache
def _contracts() -> tuple[Contract, ...]:
    shipped = [load_contract(ROOT / "shared" / "contracts" / f"{name}.toml") for name in ("music", "sparkify")]
    everything = load_contract(HERE / "everything.toml")
    dropping = replace(everything, unknown_fields="drop")
    return (
        *shipped,
        everything,
        replace(dropping, bucket="day"),
        *(_timed(dropping, name) for name in ("seconds", "millis", "written", "rfc")),
    )


def _timed(of: Contract, name: str) -> Contract:
    """Return the contract with another of its fields as the time."""
    fields = (
        replace(field, required=True, severity="reject")
        if field.name == name
        else replace(field, required=False)
        if field.name == of.time
        else field
        for field in of.fields
    )
    return replace(of, time=name, fields=tuple(fields))


def hold_for_input(data: bytes) -> None:
    """Hold an input of the fuzzer to everything: a byte that says how it is to be taken, and what a message carries.

    Raises:
        AssertionError: something doesn't hold; any other exception is one that escaped.
    """
    how, carried = (data[0], data[1:]) if data else (0, b"")
    message = _message(how, carried)
    hold_for_message(judges(how & 7, quality=not how & LENIENT), message)


def _message(how: int, carried: bytes) -> Message:
    if how & AS_BODY:
        try:
            body: Any = json.loads(carried)
        except (ValueError, RecursionError):
            body = carried
        return receive(body, {"id": "1", "time": PUBLISHED.isoformat()})
    attributes = {CONTENT_TYPE: LINES} if how & AS_LINES else {}
    if how & AS_GZIP:
        attributes[CONTENT_ENCODING] = "gzip"
    return Message(carried, "1", PUBLISHED, attributes)


def hold_for_message(by: Judges, message: Message) -> None:
    """Hold every event of a message, and the ways to pack them, to what is said of them."""
    message.message_id.encode("utf-8", "surrogatepass")
    assert message.published >= EPOCH
    verdicts = validate_message(by.validator, message)
    assert validate_message(by.validator, message) == verdicts, "the same message gets another verdict"
    try:
        raws = unpack(message)
    except UnpackError:
        raws = [message.data]
    assert len(raws) == len(verdicts) <= MAX_EVENTS_PER_MESSAGE
    for raw, verdict in zip(raws, verdicts, strict=True):
        hold_for_verdict(by, verdict, raw, message.published)
    if not message.problem:
        hold_for_packing(by, [raw for raw in raws if raw and b"\n" not in raw][:_FEW])


def hold_for_packing(by: Judges, events: list[bytes]) -> None:
    """Hold that a verdict isn't a matter of what an event comes with."""
    alone = [by.validator.validate(event, PUBLISHED) for event in events]
    if not events:
        return
    for cut in {0, 1, len(events) // 2}:
        parts = [part for part in (events[:cut], events[cut:]) if part]
        packed = [Message(b"\n".join(part), "1", PUBLISHED, {CONTENT_TYPE: LINES}) for part in parts]
        apart = [verdict for message in packed for verdict in validate_message(by.validator, message)]
        assert apart == alone, "a verdict is a matter of what an event is packed with"


def hold_for_verdict(by: Judges, verdict: Accepted | Rejected, raw: bytes, published: datetime) -> None:
    """Hold one verdict to what the tables say of cell_keys and values."""
    findings = verdict.findings if isinstance(verdict, Rejected) else verdict.warnings
    assert msgspec.json.encode(findings).decode()
    for finding in findings:
        told = f"{finding.found}{finding.field}"
        assert len(told) <= 400, "a finding quotes too much"
    if isinstance(verdict, Rejected):
        assert verdict.raw == raw
        assert any(finding.severity == "reject" for finding in findings), "nothing says why it is rejected"
        row_keys.rejected_row(verdict.raw, published.date())
    else:
        assert all(finding.severity == "warn" for finding in findings)
        _hold_for_place(by.contract, verdict)
        _hold_for_stored(by, verdict, published)


def _hold_for_place(of: Contract, verdict: Accepted) -> None:
    row_key, qualifier, micros = verdict.cell_key
    assert _ROW[of.bucket].fullmatch(row_key), row_key
    assert len(row_key) <= row_keys.MAX_ROW_KEY_BYTES
    assert re.fullmatch(rb"\d{11}#" + rb":".join([_ENCODED] * len(of.id)), qualifier), qualifier
    assert len(qualifier) <= row_keys.MAX_QUALIFIER_BYTES
    assert micros >= 0
    assert micros % 1_000 == 0
    # and what is read back from the cell_key is what the event says
    event = json.loads(verdict.value)
    assert row_keys.user_of_row(row_key) == str(event[of.user])
    assert [row_keys.decode(part) for part in qualifier[12:].decode().split(":")] == [
        str(event[name]) for name in of.id
    ]
    day = parse_day(row_key.split(b"#")[1].decode())
    time = row_keys.event_time(day, qualifier)
    assert time == timestamps.reader(None, None)(event[of.time])
    assert micros == (time - EPOCH) // timedelta(milliseconds=1) * 1_000


def _hold_for_stored(by: Judges, verdict: Accepted, published: datetime) -> None:
    """Hold that a stored event, judged by the contract's own names and forms, is itself."""
    if by.stored is None or verdict.warnings:
        return  # what breaks a rule stays as it came, and may be something else in the contract's own form
    again = by.stored.validate(verdict.value, published)
    assert isinstance(again, Accepted), again
    assert again.cell_key == verdict.cell_key
    assert json.loads(again.value) == json.loads(verdict.value)
