"""Judge a canonical event by its contract: every finding, not the first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.model import Contract, Field
from shared.contracts.patterns import pattern_matcher
from shared.row_keys import MAX_ENCODED_ID_BYTES, MAX_ENCODED_USER_BYTES, encode, event_id
from shared.timestamps import EPOCH
from shared.validation.results import MAX_QUOTED_CHARS, Finding, Rule, quote

# What a shaped value of each type is in Python.
VALUE_TYPES: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "timestamp": frozenset({datetime}),
    "object": frozenset({dict}),
    "array": frozenset({list}),
}
INT64 = 2**63
# Unknown fields that are told by name. An event has room for 400,000, whose findings no cell would hold.
MAX_UNKNOWN_FINDINGS = 100


# Takes a value that is there and isn't null, and the time its message was published; returns (rule, expected) pairs.
Judge = Callable[[Any, datetime], list[tuple[Rule, str]]]


class Checks:
    """The checks a contract asks for, and those that Bigtable's limits ask for."""

    def __init__(self, contract: Contract, *, quality: bool = True) -> None:
        """Prepare the checks.

        Args:
            contract: what to hold events to.
            quality: False leaves only what an event needs to have a cell_key at all: its id, user and time.
        """
        placing = {*contract.id, contract.user, contract.time}
        self._plan = [
            (field.name, field.required, field.severity, value_check(field))
            for field in contract.fields
            if quality or field.name in placing
        ]
        self._user, self._id, self._time = contract.user, contract.id, contract.time
        self._quality = quality

    def __call__(self, event: dict[str, Any], published: datetime, unknown: tuple[str, ...] = ()) -> list[Finding]:
        """Return every finding of an event, empty where there is nothing to say.

        Args:
            event: canonical, of `Transform`.
            published: when the event's message was first published. `future` and `too_old` are judged by it and not by
                a clock, so a redelivery gets the verdict of the first delivery.
            unknown: names of fields that the contract rejects for not knowing them.
        """
        findings: list[Finding] = []
        for name, required, severity, judge in self._plan:
            value = event.get(name)
            if value is None or (required and value == ""):
                if required:
                    rule: Rule = "null" if name in event else "required"
                    found = "nothing" if rule == "required" else quote(value)
                    findings.append(Finding(rule, name, found, "a value", severity))
            elif broken := judge(value, published):
                found = quote(value)
                findings += [Finding(rule, name, found, expected, severity) for rule, expected in broken]
        # Whatever else was found, a warning among it, an event isn't stored where Bigtable has no cell_key for it.
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

    def _limits(self, event: dict[str, Any], broken: Set[str]) -> list[Finding]:
        """Hold id, user and time, those that aren't broken, to what Bigtable takes; the emulator takes more."""
        findings = []
        user = "" if self._user in broken else str(event[self._user])
        # A character makes at most 12 bytes of percent-encoding: four of UTF-8, three each.
        if len(user) * 12 > MAX_ENCODED_USER_BYTES and len(encode(user)) > MAX_ENCODED_USER_BYTES:
            expected = f"at most {MAX_ENCODED_USER_BYTES} bytes percent-encoded, to fit a row key"
            findings.append(Finding("length", self._user, quote(user), expected))
        parts = [event[name] for name in self._id if name not in broken]
        if (
            sum(len(str(part)) + 1 for part in parts) * 12 > MAX_ENCODED_ID_BYTES
            and len(event_id(parts)) > MAX_ENCODED_ID_BYTES
        ):
            expected = f"at most {MAX_ENCODED_ID_BYTES} bytes percent-encoded, to fit a column qualifier"
            findings.append(Finding("length", ", ".join(self._id), quote(":".join(map(str, parts))), expected))
        time = None if self._time in broken else event[self._time]
        if time is not None and time < EPOCH:
            findings.append(Finding("range", self._time, quote(time), "a time from 1970 on"))
        return findings


def value_check(field: Field) -> Judge:
    """Return what judges a field's values by all but whether there is one."""
    kind = {"timestamp": _timestamp, "number": _number, "integer": _number}.get(field.type, _other)
    return kind(field)


def _timestamp(field: Field) -> Judge:
    written = f"epoch {field.unit}" if field.unit else field.format or "RFC 3339"
    wrong: list[tuple[Rule, str]] = [("type", f"timestamp ({written})")]
    future = None if field.max_future is None else timedelta(microseconds=field.max_future)
    age = None if field.max_age is None else timedelta(microseconds=field.max_age)

    def judge(value: Any, published: datetime) -> list[tuple[Rule, str]]:
        if type(value) is not datetime:
            return wrong
        if future is not None and value - published > future:
            return [("future", f"at most {future} after publication")]
        if age is not None and published - value > age:
            return [("too_old", f"at most {age} before publication")]
        return []

    return judge


def _number(field: Field) -> Judge:
    types = VALUE_TYPES[field.type]
    wrong: list[tuple[Rule, str]] = [("type", field.type)]
    least, most, allowed = field.minimum, field.maximum, field.one_of
    words = " and ".join(
        f"{word} {bound}" for word, bound in (("at least", least), ("at most", most)) if bound is not None
    )

    def judge(value: Any, _published: datetime) -> list[tuple[Rule, str]]:
        if type(value) not in types:
            return wrong
        found: list[tuple[Rule, str]] = []
        if (least is not None and value < least) or (most is not None and value > most):
            found.append(("range", words))
        elif type(value) is int and not -INT64 <= value < 2 * INT64:
            found.append(("range", "an integer of 64 bits"))
        if allowed is not None and value not in allowed:
            found.append(("one_of", _options(allowed)))
        return found

    return judge


def _other(field: Field) -> Judge:
    types = VALUE_TYPES[field.type]
    wrong: list[tuple[Rule, str]] = [("type", field.type)]
    least, most = field.min_length or 0, field.max_length
    sized = field.min_length is not None or most is not None
    unit = {"string": "characters", "array": "elements", "object": "keys"}.get(field.type, "")
    bounds = " and ".join(
        f"at {word} {bound} {unit}"
        for word, bound in (("least", field.min_length), ("most", most))
        if bound is not None
    )
    allowed = None if field.one_of is None else frozenset(field.one_of)
    matches = None if field.pattern is None else pattern_matcher(field.pattern)
    no_limit = float("inf") if most is None else most

    def judge(value: Any, _published: datetime) -> list[tuple[Rule, str]]:
        if type(value) not in types:
            return wrong
        found: list[tuple[Rule, str]] = []
        if sized and not least <= len(value) <= no_limit:
            found.append(("length", bounds))
        if matches is not None and not matches(value):
            found.append(("pattern", f"text that matches {field.pattern}"))
        if allowed is not None and value not in allowed:
            found.append(("one_of", _options(field.one_of or ())))
        return found

    return judge


def _options(allowed: tuple[Any, ...]) -> str:
    text = f"one of {', '.join(str(value) for value in allowed)}"
    return text if len(text) <= 4 * MAX_QUOTED_CHARS else text[: 4 * MAX_QUOTED_CHARS - 1] + "…"
