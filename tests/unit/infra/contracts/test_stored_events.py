"""Stored events are validated against another contract; the cells that they would have are compared."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from infra.contracts.stored_events import StoredCheck, of_stored_events
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from shared.row_keys import CellKey
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.support.samples import MUSIC_CONTRACT, music_event

NOW = datetime(2024, 1, 16, tzinfo=UTC)
MUSIC = load_contract(MUSIC_CONTRACT)


def stored(contract: Contract, *events: dict[str, Any]) -> list[tuple[CellKey, bytes]]:
    """Return the cells of received events."""
    verdicts = Validator(contract).validate_all([json.dumps(event).encode() for event in events], NOW)
    return [(verdict.cell_key, verdict.value) for verdict in verdicts if isinstance(verdict, Accepted)]


def check(before: Contract, after: Contract, *events: dict[str, Any]) -> StoredCheck:
    found = StoredCheck()
    found.add(stored(before, *events), Validator(of_stored_events(after)), NOW)
    return found


def test_events_pass_the_contract_that_they_were_stored_with() -> None:
    found = check(MUSIC, MUSIC, music_event(), music_event(2, timestamp="2030-01-01T00:00:00+01:00"))

    assert (found.events, found.failing, found.moved) == (1, 0, 0)


def test_the_age_of_a_stored_event_is_unknown() -> None:
    young = replace(
        MUSIC, fields=tuple(replace(each, max_age=1) if each.type == "timestamp" else each for each in MUSIC.fields)
    )

    for now in (datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)):
        found = StoredCheck()
        found.add(stored(MUSIC, music_event()), Validator(of_stored_events(young)), now)
        assert (found.events, found.failing) == (1, 0)


def test_an_event_counts_under_each_rule_that_it_breaks() -> None:
    strict = replace(
        MUSIC,
        fields=tuple(
            replace(field, severity="reject", maximum=1)
            if field.name == "duration"
            else replace(field, one_of=("x",))
            if field.name == "event_type"
            else field
            for field in MUSIC.fields
        ),
    )

    found = check(MUSIC, strict, *(music_event(number) for number in range(5)))

    assert (found.failing, dict(found.rules)) == (5, {"range": 5, "one_of": 5})
    assert [len(samples) for samples in found.samples.values()] == [3, 3]
    assert found.samples["range"][0].user == "user-0"


def test_a_digest_of_the_received_record_is_not_compared() -> None:
    digest = replace(MUSIC, id=())
    hourly = replace(digest, bucket="hour")

    assert check(digest, digest, music_event()).moved == 0
    assert check(digest, hourly, music_event()).moved == 1
