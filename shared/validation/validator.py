"""One event's way from bytes to a verdict: decode → transform → check → cell_key. Pure: a redelivery gets the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from shared import json_nesting
from shared.contracts.model import Contract
from shared.row_keys import CellKey, cell_key_of, event_id
from shared.validation.checks import Checks
from shared.validation.fast_path import FastPath
from shared.validation.results import Accepted, Finding, Rejected, Rule, Verdict
from shared.validation.transform import Transform

# Bytes of an event. Of a million empty arrays Python makes thirty times the bytes that JSON has, and an instance of
# 256 MiB has to hold what it makes of one beside all else; only gzip gets an event of over 256 KiB through Eventarc.
MAX_EVENT_BYTES = 1024 * 1024


class Validator:
    """What a contract makes of events."""

    def __init__(self, contract: Contract, *, quality: bool = True) -> None:
        """Prepare for a contract; without `quality`, events are only asked for an id, a user and a time."""
        self.contract = contract
        self._fast = FastPath(contract, quality=quality)
        self._transform = Transform(contract)
        self._check = Checks(contract, quality=quality)
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, raw: bytes, published: datetime) -> Verdict:
        """Judge the event in `raw`, which was first published at `published`."""
        return self.all((raw,), published)[0]

    def all(self, raws: Sequence[bytes], published: datetime | Sequence[datetime]) -> list[Verdict]:
        """Judge events, one in each of `raws`.

        Args:
            raws: the events.
            published: when all of them were first published, or each.
        """
        times = [published] * len(raws) if isinstance(published, datetime) else published
        quickly = self._fast(raws, times, MAX_EVENT_BYTES)
        if all(quickly):
            return cast("list[Verdict]", quickly)
        return [
            self._slowly(raw, moment) if good is None else good
            for raw, moment, good in zip(raws, times, quickly, strict=True)
        ]

    def _slowly(self, raw: bytes, published: datetime) -> Verdict:
        if len(raw) > MAX_EVENT_BYTES:
            return _rejected(raw, "too_large", f"{len(raw)} bytes", f"at most {MAX_EVENT_BYTES} bytes")
        if json_nesting.too_deep(raw):
            levels = f"{json_nesting.MAX_NESTING_DEPTH} levels of arrays and objects"
            return _rejected(raw, "too_large", f"over {levels}", f"at most {levels}")
        try:
            record = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _rejected(raw, "not_json", describe(error), "JSON")
        if type(record) is not dict:
            return _rejected(raw, "not_an_object", type(record).__name__, "a JSON object")
        verdict = self.validate_record(record, published, raw)
        if isinstance(verdict, Accepted):
            self._fast.learn(record)
        return verdict

    def validate_record(self, record: dict[str, Any], published: datetime, raw: bytes) -> Verdict:
        """Judge an event that is decoded already."""
        event, unknown = self._transform(record)
        findings = self._check(event, published, unknown)
        if findings and any(finding.severity == "reject" for finding in findings):
            return Rejected(raw, findings)
        try:
            value = self._encode(event)
        except (OverflowError, RecursionError, UnicodeEncodeError) as error:
            return _rejected(raw, "range", describe(error), "values that JSON and 64-bit integers can hold")
        return Accepted(self.cell_key(event), value, tuple(findings))

    def cell_key(self, event: dict[str, Any]) -> CellKey:
        """Return the cell_key of a canonical event that has passed the checks."""
        contract = self.contract
        encoded_id = event_id([event[name] for name in contract.id])
        return cell_key_of(str(event[contract.user]), encoded_id, event[contract.time], contract.bucket)


def _rejected(raw: bytes, rule: Rule, found: str, expected: str) -> Rejected:
    return Rejected(raw, [Finding(rule, "", found, expected)])


def describe(error: Exception) -> str:
    """Return what a decoder complains of, without quoting what it was given."""
    return "nesting too deep" if isinstance(error, RecursionError) else str(error).split(" in position")[0][:200]
