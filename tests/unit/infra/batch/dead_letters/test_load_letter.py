"""A dead letter of `load` is shown with its object and the state of that load, or with what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.pubsub_v1.types import PubsubMessage

from infra.batch.dead_letters.load_letter import LoadLetter, Status, read_letter
from shared.pubsub.load_requests import LoadRequest, ObjectVersion, notification, range_request
from shared.tables.loads import Load, LoadState, Progress
from shared.timestamps import EPOCH

OBJECT = ObjectVersion("drop", "day 1/a.csv", 7)
LOAD = Load(OBJECT, 300, EPOCH, EPOCH, [0, 100, 200], "rows", 10)
DONE = Progress(9, 9)
PREFIX = "gs://drop/day 1/a.csv, generation 7"


def letter(data: bytes = b"", **attributes: str) -> LoadLetter:
    published = datetime(2024, 1, 15, tzinfo=UTC)
    return read_letter(PubsubMessage(data=data, attributes=attributes, message_id="17", publish_time=published))


def test_a_request_is_read_without_the_attributes_of_the_dead_letter_topic() -> None:
    added = {"CloudPubSubDeadLetterSourceSubscription": "loads-run", "CloudPubSubDeadLetterSourceDeliveryCount": "100"}

    assert letter(**notification(OBJECT), **added) == LoadLetter("17", LoadRequest(OBJECT))
    assert letter(**range_request(OBJECT, 100), **added) == LoadLetter("17", LoadRequest(OBJECT, 100))
    # The attribute names of a message without any request are part of the problem.
    assert "attributes []" in letter(**added).problem


def test_a_message_that_requests_no_object_has_its_problem() -> None:
    found = letter(**notification(OBJECT) | {"objectGeneration": "new"})

    assert (found.status, found.request) == ("invalid", None)
    assert found.line() == "message 17 stays: objectGeneration: found 'new', expected an integer from 1 on"


def test_another_event_of_an_object_is_no_problem() -> None:
    found = letter(**notification(OBJECT) | {"eventType": "OBJECT_DELETE"})

    assert (found.status, found.problem) == ("ignored", "")
    assert found.line() == "message 17: found another event than the creation of an object; `load` ignores it"


@pytest.mark.parametrize(
    ("start", "state", "status", "line"),
    [
        (None, None, "not_begun", f"{PREFIX}: the load has not begun"),
        (100, None, "not_begun", f"{PREFIX}, from byte 100: the load has not begun"),
        (None, LoadState(LOAD, {0: DONE}, {}, ""), "loading", f"{PREFIX}: 1 of 3 ranges are done"),
        (
            100,
            LoadState(LOAD, {0: DONE}, {100: DONE}, ""),
            "loading",
            f"{PREFIX}, from byte 100 to 200: 1 of 3 ranges are done",
        ),
        (200, LoadState(LOAD, {}, {}, ""), "loading", f"{PREFIX}, from byte 200 to 300: 0 of 3 ranges are done"),
        (
            0,
            LoadState(LOAD, {0: DONE}, {}, ""),
            "range_done",
            f"{PREFIX}, from byte 0 to 100: 1 of 3 ranges are done, also this one",
        ),
        (50, LoadState(LOAD, {}, {}, ""), "loading", f"{PREFIX}, from byte 50: 0 of 3 ranges are done"),
        (
            100,
            LoadState(LOAD, dict.fromkeys(LOAD.starts, DONE), {}, ""),
            "finished",
            f"{PREFIX}, from byte 100 to 200: the load is finished",
        ),
        (
            None,
            LoadState(LOAD, {0: DONE}, {}, "it was deleted"),
            "failed",
            f"{PREFIX}: the load has failed, and no request repeats it: it was deleted",
        ),
    ],
)
def test_a_request_is_shown_with_the_state_of_its_load(
    start: int | None, state: LoadState | None, status: Status, line: str
) -> None:
    found = LoadLetter("17", LoadRequest(OBJECT, start), state)

    assert (found.status, found.line()) == (status, line)
