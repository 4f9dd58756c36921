"""Mutations become the entries that Bigtable takes, and every entry gets the answer that is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse
from google.rpc import code_pb2
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from shared.bigtable.mutations import MAX_MUTATIONS_PER_ENTRY, UNMENTIONED, Entry, Mutations, mutate_rows
from tests.support.read_rows_answers import failed


class FakeCalls:
    """Answers MutateRows with what a test says: responses as {index: status code}, or an error to raise."""

    def __init__(self, *answers: dict[int, int] | Exception) -> None:
        self.calls: list[tuple[bytes, str, str, float]] = []
        self._answers = answers

    async def mutate_rows(self, request: bytes, table: str, app_profile: str, timeout: float) -> AsyncIterator[bytes]:
        self.calls.append((request, table, app_profile, timeout))
        for answer in self._answers:
            if isinstance(answer, Exception):
                raise answer
            entries = [{"index": index, "status": {"code": code, "message": "why"}} for index, code in answer.items()]
            yield MutateRowsResponse.serialize(MutateRowsResponse(entries=entries))


def rows(count: int) -> list[Entry]:
    mutations = Mutations()
    for number in range(count):
        mutations.set_cell(b"row %d" % number, "e", b"q", 1_000, b"v")
    return mutations.entries()


def read(entries: Sequence[Entry]) -> list[Any]:
    """Return entries as Google's classes read them, all together as in a request."""
    return list(MutateRowsRequest.deserialize(b"".join(entry.wire for entry in entries)).entries)


async def answers(calls: FakeCalls, entries: Sequence[Entry]) -> list[str | None]:
    results = await mutate_rows(calls, "tables/events", "profile", entries, 2.5)  # type: ignore[arg-type]
    return [None if result is None else result.code.name for result in results]  # type: ignore[attr-defined]


def test_changes_are_gathered_by_row() -> None:
    mutations = Mutations()
    mutations.set_cell(b"a", "e", b"q1", 1_000, b"v1")
    mutations.set_cell(b"b", "e", b"q", 2_000, b"v")
    mutations.set_cell(b"a", "f", b"q2", 3_000, b"")
    mutations.delete_cells(b"a", "e", b"q3", 4_000, 5_000)
    mutations.delete_row(b"c")

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
    assert read(mutations.entries()) == [
        MutateRowsRequest.Entry(row_key=b"a", mutations=first),
        MutateRowsRequest.Entry(row_key=b"b", mutations=second),
        MutateRowsRequest.Entry(row_key=b"c", mutations=third),
    ]
    assert len(mutations) == 5


def test_no_changes_are_no_entries() -> None:
    assert Mutations().entries() == []
    assert len(Mutations()) == 0


def test_a_row_of_very_many_changes_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bigtable.mutations.MAX_MUTATIONS_PER_ENTRY", 3)
    mutations = Mutations()
    for number in range(7):
        mutations.set_cell(b"a", "e", b"%d" % number, 0, b"")
    mutations.set_cell(b"b", "e", b"q", 0, b"")

    found = mutations.entries()

    assert [entry.mutations for entry in found] == [3, 3, 1, 1]
    assert [(entry.row_key, len(entry.mutations)) for entry in read(found)] == [
        (b"a", 3),
        (b"a", 3),
        (b"a", 1),
        (b"b", 1),
    ]
    qualifiers = [
        each.set_cell.column_qualifier for entry in read(found) if entry.row_key == b"a" for each in entry.mutations
    ]
    assert qualifiers == [b"%d" % number for number in range(7)]


# Each length of a length: one byte, two, three; made beforehand and not.
lengths = st.sampled_from([0, 1, 127, 128, 2_047, 2_048, 2_060, 16_383, 16_384])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b" * 127, b"c" * 128, b"d" * 4_096]),
            st.sampled_from(["e", "f" * 64]),
            lengths,
            st.one_of(st.integers(0, 2**33), st.integers(0, 2**62)),
            lengths,
        ),
        max_size=6,
    )
)
def test_what_is_written_is_what_google_reads(cells: list[tuple[bytes, str, int, int, int]]) -> None:
    mutations = Mutations()
    by_row: dict[bytes, list[Any]] = {}
    for row_key, family, qualifier, micros, value in cells:
        mutations.set_cell(row_key, family, b"q" * qualifier, micros, b"v" * value)
        cell = {
            "family_name": family,
            "column_qualifier": b"q" * qualifier,
            "timestamp_micros": micros,
            "value": b"v" * value,
        }
        by_row.setdefault(row_key, []).append({"set_cell": cell})

    assert read(mutations.entries()) == [
        MutateRowsRequest.Entry(row_key=row_key, mutations=mutations) for row_key, mutations in by_row.items()
    ]


async def test_entries_are_sent_in_one_call() -> None:
    calls = FakeCalls({0: 0, 1: 0})

    assert await answers(calls, rows(2)) == [None, None]

    ((data, *rest),) = calls.calls
    request = MutateRowsRequest.deserialize(data)
    assert (request.table_name, request.app_profile_id) == ("tables/events", "profile")
    assert [entry.row_key for entry in request.entries] == [b"row 0", b"row 1"]
    assert rest == ["tables/events", "profile", 2.5]


async def test_every_entry_has_its_own_answer() -> None:
    calls = FakeCalls({1: code_pb2.UNAVAILABLE}, {3: code_pb2.NOT_FOUND, 0: 0}, {2: code_pb2.ABORTED})

    assert await answers(calls, rows(4)) == [None, "UNAVAILABLE", "ABORTED", "NOT_FOUND"]


async def test_an_entry_the_answer_does_not_mention_is_not_stored() -> None:
    results = await mutate_rows(FakeCalls({1: 0}), "t", "", rows(3), 1)  # type: ignore[arg-type]

    assert results == [UNMENTIONED, None, UNMENTIONED]
    assert UNMENTIONED.code is StatusCode.UNAVAILABLE


async def test_a_call_that_fails_fails_for_all() -> None:
    assert await answers(FakeCalls(failed(StatusCode.DEADLINE_EXCEEDED)), rows(2)) == ["DEADLINE_EXCEEDED"] * 2
    gone = ConnectionResetError("gone")
    assert await mutate_rows(FakeCalls(gone), "t", "", rows(2), 1) == [gone, gone]  # type: ignore[arg-type]


async def test_what_was_answered_before_the_stream_broke_counts() -> None:
    calls = FakeCalls({0: 0, 2: code_pb2.NOT_FOUND}, failed(StatusCode.UNAVAILABLE))

    assert await answers(calls, rows(4)) == [None, "UNAVAILABLE", "NOT_FOUND", "UNAVAILABLE"]


async def test_what_is_no_answer_of_bigtable_is_raised() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        await mutate_rows(FakeCalls(RuntimeError("a bug")), "t", "", rows(1), 1)  # type: ignore[arg-type]


def test_a_row_of_very_many_changes_is_several_entries() -> None:
    mutations = Mutations()
    for number in range(2 * MAX_MUTATIONS_PER_ENTRY + 1):
        mutations.set_cell(b"row", "e", str(number).encode(), 0, b"")

    assert [entry.mutations for entry in mutations.entries()] == [MAX_MUTATIONS_PER_ENTRY, MAX_MUTATIONS_PER_ENTRY, 1]
    assert {entry.row_key for entry in read(mutations.entries())} == {b"row"}


def test_changes_of_one_row_can_be_entries_of_their_own() -> None:
    mutations = Mutations()
    assert mutations.single_entries() == []
    for qualifier in (b"1", b"2"):
        mutations.set_cell(b"row", "e", qualifier, 1_000, b"v" + qualifier)

    found = mutations.single_entries()

    assert [entry.mutations for entry in found] == [1, 1]
    assert [(entry.row_key, entry.mutations[0].set_cell.value) for entry in read(found)] == [
        (b"row", b"v1"),
        (b"row", b"v2"),
    ]
