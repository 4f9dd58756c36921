"""Changes become the entries that Bigtable takes, and every entry gets the answer that is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse
from google.rpc import code_pb2

from shared.writer import MOST_MUTATIONS, UNANSWERED, Changes, send


class FakeClient:
    """Answers MutateRows with what a test says: responses as {index: status code}, or an error to raise."""

    def __init__(self, *answers: dict[int, int] | Exception, refuses: Exception | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._answers = answers
        self._refuses = refuses

    async def mutate_rows(self, **call: Any) -> AsyncIterator[MutateRowsResponse]:
        self.calls.append(call)
        if self._refuses:
            raise self._refuses
        return self._stream()

    async def _stream(self) -> AsyncIterator[MutateRowsResponse]:
        for answer in self._answers:
            if isinstance(answer, Exception):
                raise answer
            entries = [{"index": index, "status": {"code": code, "message": "why"}} for index, code in answer.items()]
            yield MutateRowsResponse(entries=entries)


def rows(count: int) -> list[Any]:
    changes = Changes()
    for number in range(count):
        changes.set_cell(b"row %d" % number, "e", b"q", 1_000, b"v")
    return changes.entries()


async def answers(client: FakeClient, entries: Sequence[Any]) -> list[str | None]:
    results = await send(client, "tables/events", "profile", entries, 2.5)  # type: ignore[arg-type]
    return [None if result is None else type(result).__name__ for result in results]


def test_changes_are_gathered_by_row() -> None:
    changes = Changes()
    changes.set_cell(b"a", "e", b"q1", 1_000, b"v1")
    changes.set_cell(b"b", "e", b"q", 2_000, b"v")
    changes.set_cell(b"a", "f", b"q2", 3_000, b"")
    changes.delete_cells(b"a", "e", b"q3", 4_000, 5_000)
    changes.delete_row(b"c")

    first = [
        {"set_cell": {"family_name": "e", "column_qualifier": b"q1", "timestamp_micros": 1_000, "value": b"v1"}},
        {"set_cell": {"family_name": "f", "column_qualifier": b"q2", "timestamp_micros": 3_000}},
        {
            "delete_from_column": {
                "family_name": "e",
                "column_qualifier": b"q3",
                "time_range": {"start_timestamp_micros": 4_000, "end_timestamp_micros": 5_000},
            }
        },
    ]
    second = [{"set_cell": {"family_name": "e", "column_qualifier": b"q", "timestamp_micros": 2_000, "value": b"v"}}]
    third = [{"delete_from_row": {}}]
    assert [MutateRowsRequest.Entry.wrap(entry) for entry in changes.entries()] == [
        MutateRowsRequest.Entry(row_key=b"a", mutations=first),
        MutateRowsRequest.Entry(row_key=b"b", mutations=second),
        MutateRowsRequest.Entry(row_key=b"c", mutations=third),
    ]
    assert len(changes) == 3


def test_no_changes_are_no_entries() -> None:
    assert Changes().entries() == []
    assert len(Changes()) == 0


def test_a_row_of_very_many_changes_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.writer.MOST_MUTATIONS", 3)
    changes = Changes()
    for number in range(7):
        changes.set_cell(b"a", "e", b"%d" % number, 0, b"")
    changes.set_cell(b"b", "e", b"q", 0, b"")

    found = changes.entries()

    assert len(changes) == len(found) == 4
    assert sorted((entry.row_key, len(entry.mutations)) for entry in found) == [
        (b"a", 1),
        (b"a", 3),
        (b"a", 3),
        (b"b", 1),
    ]
    qualifiers = [
        each.set_cell.column_qualifier for entry in found if entry.row_key == b"a" for each in entry.mutations
    ]
    assert qualifiers == [b"%d" % number for number in range(7)]


async def test_entries_are_sent_in_one_call() -> None:
    client = FakeClient({0: 0, 1: 0})

    assert await answers(client, rows(2)) == [None, None]

    ((call),) = client.calls
    request = call["request"]
    assert (request.table_name, request.app_profile_id) == ("tables/events", "profile")
    assert [entry.row_key for entry in request.entries] == [b"row 0", b"row 1"]
    assert (call["timeout"], call["retry"]) == (2.5, None)


async def test_every_entry_has_its_own_answer() -> None:
    client = FakeClient({1: code_pb2.UNAVAILABLE}, {3: code_pb2.NOT_FOUND, 0: 0}, {2: code_pb2.ABORTED})

    assert await answers(client, rows(4)) == [None, "ServiceUnavailable", "Aborted", "NotFound"]


async def test_an_entry_the_answer_does_not_mention_is_not_stored() -> None:
    results = await send(FakeClient({1: 0}), "t", "", rows(3), 1)  # type: ignore[arg-type]

    assert results == [UNANSWERED, None, UNANSWERED]
    assert isinstance(UNANSWERED, exceptions.ServiceUnavailable)


@pytest.mark.parametrize("error", [exceptions.DeadlineExceeded("late"), ConnectionResetError("gone")])
async def test_a_call_that_fails_fails_for_all(error: Exception) -> None:
    results = await send(FakeClient(refuses=error), "t", "", rows(2), 1)  # type: ignore[arg-type]

    assert results == [error, error]


async def test_what_was_answered_before_the_stream_broke_counts() -> None:
    error = exceptions.ServiceUnavailable("gone")
    client = FakeClient({0: 0, 2: code_pb2.NOT_FOUND}, error)

    results = await send(client, "t", "", rows(4), 1)  # type: ignore[arg-type]

    assert results[0] is None
    assert results[1] is results[3] is error
    assert isinstance(results[2], exceptions.NotFound)


async def test_what_is_no_answer_of_bigtable_is_raised() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        await send(FakeClient(refuses=RuntimeError("a bug")), "t", "", rows(1), 1)  # type: ignore[arg-type]


def test_a_row_of_very_many_changes_is_several_entries() -> None:
    changes = Changes()
    for number in range(2 * MOST_MUTATIONS + 1):
        changes.set_cell(b"row", "e", str(number).encode(), 0, b"")

    assert [len(entry.mutations) for entry in changes.entries()] == [MOST_MUTATIONS, MOST_MUTATIONS, 1]
    assert {entry.row_key for entry in changes.entries()} == {b"row"}
    assert len(changes) == 3
