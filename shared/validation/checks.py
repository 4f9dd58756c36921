"""Check a canonical event against its contract and collect every finding. Pure."""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.model import Contract, Field
from shared.contracts.patterns import pattern_matcher
from shared.row_keys import MAX_ENCODED_ID_BYTES, MAX_ENCODED_USER_BYTES, encode, event_id
from shared.timestamps import EPOCH
from shared.validation.event_ids import EventIds
from shared.validation.masks import QUOTED, Masks
from shared.validation.results import MAX_QUOTED_CHARS, Finding, Rule, quote

# Python types of a transformed value, by the type in the contract.
VALUE_TYPES: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "timestamp": frozenset({datetime}),
    "object": frozenset({dict}),
    "array": frozenset({list}),
}
# Integers that a signed or an unsigned 64-bit integer can hold.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
# Unknown fields reported by name. An event can have 400,000 of them, and their findings would exceed a cell's limit.
MAX_UNKNOWN_FINDINGS = 100

# Takes a value that isn't None and the publish time of its message; returns (rule, expected) pairs.
ValueCheck = Callable[[Any, datetime], list[tuple[Rule, str]]]


class Checks:
    """The checks of one contract, and of Bigtable's limits."""

    def __init__(self, contract: Contract, *, quality: bool = True, masks: Masks | None = None) -> None:
        """Prepare the checks.

        Args:
            contract: the contract that events must satisfy.
            quality: False checks only the fields that a cell key needs: id, user and time.
            masks: of the contract. Findings don't quote masked values, and values that were masked before are valid.
        """
        key_fields = {*contract.id, contract.user, contract.time}
        self._plan = [
            (field.name, field.required, field.severity, _unless_masked(field, masks))
            for field in contract.fields
            if quality or field.name in key_fields
        ]
        self._user, self._id, self._time = contract.user, EventIds(contract).fields, contract.time
        self._quality = quality
        self._masks, self._masked = masks, masks.names if masks else frozenset[str]()

    def __call__(self, event: dict[str, Any], published: datetime, unknown: tuple[str, ...] = ()) -> list[Finding]:
        """Return every finding of an event; an empty list for a valid one.

        Args:
            event: the canonical event that `Transform` returns.
            published: first publish time of the event's message. `future` and `too_old` compare with it and not with a
                clock, so a redelivery gets the same verdict as the first delivery.
            unknown: names of the fields that the contract rejects as unknown.
        """
        findings: list[Finding] = []
        for name, required, severity, check in self._plan:
            value = event.get(name)
            if value is None or (required and value == ""):
                if required:
                    rule: Rule = "null" if name in event else "required"
                    found = "nothing" if rule == "required" else quote(value)
                    findings.append(Finding(rule, name, found, "a value", severity))
            elif broken := check(value, published):
                found = QUOTED if name in self._masked else quote(value)
                findings += [Finding(rule, name, found, expected, severity) for rule, expected in broken]
        if self._masks:
            event = self._masks.apply_to_keys(event)
        # Warnings don't skip these checks: Bigtable can't store an event that exceeds its limits.
        findings += self._limits(event, {finding.field for finding in findings} if findings else frozenset())
        if unknown and self._quality:
            findings += [
                Finding("unknown_field", name[:MAX_QUOTED_CHARS], quote(name), "only fields the contract names")
                for name in unknown[:MAX_UNKNOWN_FINDINGS]
            ]
            if len(unknown) > MAX_UNKNOWN_FINDINGS:
                more = f"{len(unknown) - MAX_UNKNOWN_FINDINGS} more"
                findings.append(Finding("unknown_field", "", more, "only fields the contract names"))
        return findings

    def _limits(self, event: dict[str, Any], failed: Set[str]) -> list[Finding]:
        """Check id, user and time against Bigtable's limits, except those in `failed`; the emulator allows more."""
        findings = []
        user = "" if self._user in failed else str(event[self._user])
        # A character takes at most 12 bytes percent-encoded: four bytes of UTF-8, three characters each.
        if len(user) * 12 > MAX_ENCODED_USER_BYTES and len(encode(user)) > MAX_ENCODED_USER_BYTES:
            expected = f"at most {MAX_ENCODED_USER_BYTES} bytes percent-encoded, to fit a row key"
            findings.append(Finding("length", self._user, quote(user), expected))
        parts = [text(event[name]) for name, text in self._id if name not in failed]
        if (
            sum(len(part) + 1 for part in parts) * 12 > MAX_ENCODED_ID_BYTES
            and len(event_id(parts)) > MAX_ENCODED_ID_BYTES
        ):
            expected = f"at most {MAX_ENCODED_ID_BYTES} bytes percent-encoded, to fit a column qualifier"
            names = ", ".join(name for name, _ in self._id)
            findings.append(Finding("length", names, quote(":".join(parts)), expected))
        time = None if self._time in failed else event[self._time]
        if time is not None and time < EPOCH:
            findings.append(Finding("range", self._time, quote(time), "a time from 1970 on"))
        return findings


def _unless_masked(field: Field, masks: Masks | None) -> ValueCheck:
    """Return the check of a field's values, which values that were masked before pass."""
    check = value_check(field)
    if masks is None or field.name not in masks.names:
        return check
    unless_masked: ValueCheck = masks.unless_masked(field.name, check, lambda _masked: [])
    return unless_masked


def value_check(field: Field) -> ValueCheck:
    """Return the check of a field's values: every rule except `required` and `null`."""
    makers = {"timestamp": _timestamp_check, "number": _number_check, "integer": _number_check}
    return makers.get(field.type, _other_check)(field)


def _timestamp_check(field: Field) -> ValueCheck:
    notation = field.format or "RFC 3339"
    if field.unit is not None:
        notation = "days since 1899-12-30" if field.unit == "serial_days" else f"epoch {field.unit}"
    type_error: list[tuple[Rule, str]] = [("type", f"timestamp ({notation})")]
    future = None if field.max_future is None else timedelta(microseconds=field.max_future)
    age = None if field.max_age is None else timedelta(microseconds=field.max_age)

    def check(value: Any, published: datetime) -> list[tuple[Rule, str]]:
        if type(value) is not datetime:
            return type_error
        if future is not None and value - published > future:
            return [("future", f"at most {future} after publication")]
        if age is not None and published - value > age:
            return [("too_old", f"at most {age} before publication")]
        return []

    return check


def _number_check(field: Field) -> ValueCheck:
    types = VALUE_TYPES[field.type]
    type_error: list[tuple[Rule, str]] = [("type", field.type)]
    minimum, maximum, allowed = field.minimum, field.maximum, field.one_of
    bounds = " and ".join(
        f"{word} {bound}" for word, bound in (("at least", minimum), ("at most", maximum)) if bound is not None
    )

    def check(value: Any, _published: datetime) -> list[tuple[Rule, str]]:
        if type(value) not in types:
            return type_error
        found: list[tuple[Rule, str]] = []
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            found.append(("range", bounds))
        elif type(value) is int and not MIN_INTEGER <= value <= MAX_INTEGER:
            found.append(("range", "a 64-bit integer"))
        if allowed is not None and value not in allowed:
            found.append(("one_of", _one_of_text(allowed)))
        return found

    return check


def _other_check(field: Field) -> ValueCheck:
    types = VALUE_TYPES[field.type]
    type_error: list[tuple[Rule, str]] = [("type", field.type)]
    shortest = field.min_length or 0
    longest = float("inf") if field.max_length is None else field.max_length
    has_bounds = field.min_length is not None or field.max_length is not None
    unit = {"string": "characters", "array": "elements", "object": "keys"}.get(field.type, "")
    bounds = " and ".join(
        f"at {word} {bound} {unit}"
        for word, bound in (("least", field.min_length), ("most", field.max_length))
        if bound is not None
    )
    allowed = None if field.one_of is None else frozenset(field.one_of)
    matches = None if field.pattern is None else pattern_matcher(field.pattern)

    def check(value: Any, _published: datetime) -> list[tuple[Rule, str]]:
        if type(value) not in types:
            return type_error
        found: list[tuple[Rule, str]] = []
        if has_bounds and not shortest <= len(value) <= longest:
            found.append(("length", bounds))
        if matches is not None and not matches(value):
            found.append(("pattern", f"text that matches {field.pattern}"))
        if allowed is not None and value not in allowed:
            found.append(("one_of", _one_of_text(field.one_of or ())))
        return found

    return check


def _one_of_text(allowed: tuple[Any, ...]) -> str:
    text = f"one of {', '.join(str(value) for value in allowed)}"
    return text if len(text) <= 4 * MAX_QUOTED_CHARS else text[: 4 * MAX_QUOTED_CHARS - 1] + "…"
