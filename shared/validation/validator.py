"""Validate an event from its bytes to a verdict: decode, transform, check, cell key. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared import json_nesting
from shared.contracts.model import Contract
from shared.row_keys import CellKey, cell_key_of
from shared.validation.checks import Checks
from shared.validation.event_ids import EventIds
from shared.validation.fast_path import NONE_VALID, FastPath, FastResult
from shared.validation.masks import masks_of, unreadable
from shared.validation.results import Accepted, Finding, Rejected, Rule, Verdict
from shared.validation.transform import Transform

# Decoded empty arrays take thirty times the bytes of their JSON, and they must fit an instance of 256 MiB. An event of
# more than 256 KiB reaches a function only as gzip.
MAX_EVENT_BYTES = 1024 * 1024
# Values of an event. More of them would take over 100 ms, as a full megabyte of empty arrays does.
MAX_VALUES_PER_EVENT = 50_000
# Bytes of an event that takes the fast path. It has fewer values, since each takes two bytes or more.
MAX_FAST_BYTES = MAX_VALUES_PER_EVENT
# Events that take the fast path together. For a single event the checks take less time.
_MIN_FAST_BATCH = 2


class Validator:
    """Validates events against a contract.

    Attributes:
        contract: the contract that events are validated against.
    """

    def __init__(self, contract: Contract, *, quality: bool = True) -> None:
        """Prepare the validation; with `quality=False` an event only needs an id, a user and a time.

        Raises:
            SettingsError: the contract needs a key for its masks and has none.
        """
        self.contract = contract
        self._masks = masks_of(contract)
        self._fast_path = FastPath(contract, quality=quality, masks=self._masks)
        self._transform = Transform(contract, self._masks)
        self._ids = EventIds(contract)
        self._check = Checks(contract, quality=quality, masks=self._masks)
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode

    def validate(self, raw: bytes, published: datetime) -> Verdict:
        """Return the verdict on one event, like `validate_all`.

        Any thread may call this for an event of more than `MAX_FAST_BYTES`: it uses and changes no state of the fast
        path, and all else that it uses never changes.
        """
        if len(raw) > MAX_EVENT_BYTES:
            return self._rejected(raw, "too_large", f"{len(raw)} bytes", f"at most {MAX_EVENT_BYTES} bytes")
        if json_nesting.too_deep(raw):
            levels = f"{json_nesting.MAX_NESTING_DEPTH} levels of arrays and objects"
            return self._rejected(raw, "too_large", f"over {levels}", f"at most {levels}")
        if json_nesting.has_more_values(raw, MAX_VALUES_PER_EVENT):
            found = f"over {MAX_VALUES_PER_EVENT} values"
            return self._rejected(raw, "too_large", found, f"at most {MAX_VALUES_PER_EVENT} values")
        try:
            record = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._rejected(raw, "not_json", describe(error), "JSON")
        if type(record) is not dict:
            return self._rejected(raw, "not_an_object", type(record).__name__, "a JSON object")
        verdict = self.validate_record(record, published, raw)
        if isinstance(verdict, Accepted) and len(raw) <= MAX_FAST_BYTES:
            self._fast_path.learn(record.keys())
        return verdict

    def validate_all(self, raws: Sequence[bytes], published: datetime | Sequence[datetime]) -> list[Verdict]:
        """Return the verdict on each event.

        Args:
            raws: the bytes of each event, as received.
            published: first publish time, one for all events or one for each.
        """
        times = [published] * len(raws) if isinstance(published, datetime) else published
        return self.complete(self.accept_all(raws, times), raws, times)

    def complete(self, found: FastResult, raws: Sequence[bytes], times: Sequence[datetime]) -> list[Verdict]:
        """Return the verdict on each event.

        Args:
            found: what `accept_all` returned for these events.
            raws: the bytes of each event.
            times: first publish time of each event.
        """
        accepted: list[Verdict] = [*found.columns.events()]
        if len(accepted) == len(raws):
            return accepted
        by_row = dict(zip(found.rows, accepted, strict=True))
        return [
            by_row[row] if row in by_row else self.validate(raw, time)
            for row, (raw, time) in enumerate(zip(raws, times, strict=True))
        ]

    def accept_all(self, raws: Sequence[bytes], times: Sequence[datetime]) -> FastResult:
        """Return the events that are certainly valid; `validate` decides on the others.

        Args:
            raws: the bytes of each event.
            times: first publish time of each event.
        """
        if len(raws) < _MIN_FAST_BATCH:
            return NONE_VALID
        return self._fast_path(raws, times, MAX_FAST_BYTES)

    def validate_record(self, record: dict[str, Any], published: datetime, raw: bytes) -> Verdict:
        """Return the verdict on a decoded event; a `Rejected` verdict keeps `raw`."""
        event, unknown = self._transform(record)
        findings = self._check(event, published, unknown)
        masks = self._masks
        if findings and any(finding.severity == "reject" for finding in findings):
            return Rejected(raw if masks is None else masks.rejected(record, event, findings, raw), findings)
        if masks:
            event = masks.apply(event)
        try:
            value = self._encode(event)
        except (OverflowError, RecursionError, UnicodeEncodeError) as error:
            return self._rejected(raw, "range", describe(error), "values that JSON and 64-bit integers can hold")
        return Accepted(*self._cell_key(event, record), value, tuple(findings))

    def reject(self, raw: bytes, finding: Finding) -> Rejected:
        """Return the verdict on bytes without readable fields, which aren't kept if the contract masks any."""
        return Rejected(raw if self._masks is None else unreadable(raw), [finding])

    def _rejected(self, raw: bytes, rule: Rule, found: str, expected: str) -> Rejected:
        return self.reject(raw, Finding(rule, "", found, expected))

    def stored_user(self, user: str) -> str:
        """Return a user as row keys have it; a plain one is masked if the contract masks users."""
        return user if self._masks is None else self._masks.mask_of_user(user)

    def _cell_key(self, event: dict[str, Any], record: dict[str, Any]) -> CellKey:
        """Return the cell key of a canonical event without findings, from the record that it was made of."""
        contract = self.contract
        encoded_id = self._ids.of_event(event, record)
        return cell_key_of(str(event[contract.user]), encoded_id, event[contract.time], contract.bucket)


def describe(error: Exception) -> str:
    """Return the message of a decoding error without the data that it quotes."""
    return "nesting too deep" if isinstance(error, RecursionError) else str(error).split(" in position")[0][:200]
