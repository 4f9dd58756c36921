"""Mutations become serialized MutateRows entries, and each entry gets its own result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse
from google.rpc import code_pb2
from grpc import StatusCode
from hypothesis import example, given
from hypothesis import strategies as st

from shared.bigtable.mutate_rows import UNMENTIONED, mutate_rows
from shared.bigtable.mutations import MAX_MUTATIONS_PER_ENTRY, Entry, Mutations
from tests.support.read_rows_answers import failed


class FakeTransport:
    """A fake transport: MutateRows yields a response for each {index: status code}, or raises an error."""

    def __init__(self, *responses: dict[int, int] | Exception) -> None:
        self.calls: list[tuple[bytes, str, str, float]] = []
        self._responses = responses

    async def mutate_rows(self, request: bytes, table: str, app_profile: str, timeout: float) -> AsyncIterator[bytes]:
        self.calls.append((request, table, app_profile, timeout))
        for response in self._responses:
            if isinstance(response, Exception):
                raise response
            entries = [{"index": index, "status": {"code": code, "message": "why"}} for index, code in response.items()]
            yield MutateRowsResponse.serialize(MutateRowsResponse(entries=entries))


def make_entries(count: int) -> list[Entry]:
    mutations = Mutations()
    for number in range(count):
        mutations.set_cell(b"row %d" % number, "e", b"q", 1_000, b"v")
    return mutations.entries()


def parse(entries: Sequence[Entry]) -> list[Any]:
    """Parse entries with Google's classes, all together as in a request."""
    return list(MutateRowsRequest.deserialize(b"".join(entry.wire for entry in entries)).entries)


async def result_codes(transport: FakeTransport, entries: Sequence[Entry]) -> list[str | None]:
    results = await mutate_rows(transport, "tables/events", "profile", entries, 2.5)  # type: ignore[arg-type]
    return [None if result is None else result.code.name for result in results]  # type: ignore[attr-defined]


def test_mutations_are_grouped_by_row() -> None:
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
    assert parse(mutations.entries()) == [
        MutateRowsRequest.Entry(row_key=b"a", mutations=first),
        MutateRowsRequest.Entry(row_key=b"b", mutations=second),
        MutateRowsRequest.Entry(row_key=b"c", mutations=third),
    ]
    assert len(mutations) == 5


def test_no_mutations_give_no_entries() -> None:
    assert Mutations().entries() == []
    assert len(Mutations()) == 0


def test_a_row_above_the_limit_is_split_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bigtable.mutations.MAX_MUTATIONS_PER_ENTRY", 3)
    mutations = Mutations()
    for number in range(7):
        mutations.set_cell(b"a", "e", b"%d" % number, 0, b"")
    mutations.set_cell(b"b", "e", b"q", 0, b"")

    found = mutations.entries()

    assert [entry.mutations for entry in found] == [3, 3, 1, 1]
    assert [(entry.row_key, len(entry.mutations)) for entry in parse(found)] == [
        (b"a", 3),
        (b"a", 3),
        (b"a", 1),
        (b"b", 1),
    ]
    qualifiers = [
        each.set_cell.column_qualifier for entry in parse(found) if entry.row_key == b"a" for each in entry.mutations
    ]
    assert qualifiers == [b"%d" % number for number in range(7)]


# Lengths that take one, two and three bytes, with and without a precomputed header.
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
def test_google_parses_what_is_serialized(cells: list[tuple[bytes, str, int, int, int]]) -> None:
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

    assert parse(mutations.entries()) == [
        MutateRowsRequest.Entry(row_key=row_key, mutations=mutations) for row_key, mutations in by_row.items()
    ]


async def test_entries_are_sent_in_one_call() -> None:
    transport = FakeTransport({0: 0, 1: 0})

    assert await result_codes(transport, make_entries(2)) == [None, None]

    ((data, *rest),) = transport.calls
    request = MutateRowsRequest.deserialize(data)
    assert (request.table_name, request.app_profile_id) == ("tables/events", "profile")
    assert [entry.row_key for entry in request.entries] == [b"row 0", b"row 1"]
    assert rest == ["tables/events", "profile", 2.5]


async def test_every_entry_gets_its_own_result() -> None:
    transport = FakeTransport({1: code_pb2.UNAVAILABLE}, {3: code_pb2.NOT_FOUND, 0: 0}, {2: code_pb2.ABORTED})

    assert await result_codes(transport, make_entries(4)) == [None, "UNAVAILABLE", "ABORTED", "NOT_FOUND"]


async def test_many_entries_are_sent_sorted_and_get_their_own_results() -> None:
    entries = make_entries(1_000)  # "row 10" precedes "row 2"
    by_key = sorted(entries, key=lambda entry: entry.row_key)
    refused = {entry.row_key for entry in entries[::7]}
    transport = FakeTransport(
        {index: code_pb2.NOT_FOUND if each.row_key in refused else 0 for index, each in enumerate(by_key)}
    )

    found = await result_codes(transport, entries)

    ((data, *_),) = transport.calls
    assert [each.row_key for each in MutateRowsRequest.deserialize(data).entries] == [each.row_key for each in by_key]
    assert by_key != entries
    assert found == ["NOT_FOUND" if entry.row_key in refused else None for entry in entries]


async def test_few_entries_are_sent_in_their_order() -> None:
    transport = FakeTransport(dict.fromkeys(range(11), 0))

    await result_codes(transport, make_entries(11))

    ((data, *_),) = transport.calls
    assert [each.row_key for each in MutateRowsRequest.deserialize(data).entries] == [b"row %d" % n for n in range(11)]


@pytest.mark.parametrize("entries", [2, 200], ids=["small", "large"])
async def test_stored_entries_may_lack_a_status(entries: int) -> None:
    class Transport:
        async def mutate_rows(self, *_: object) -> AsyncIterator[bytes]:
            yield MutateRowsResponse.serialize({"entries": [{"index": index} for index in range(entries)]})

    transport: Any = Transport()
    assert await mutate_rows(transport, "t", "", make_entries(entries), 1) == [None] * entries


@given(st.dictionaries(st.integers(0, 199), st.sampled_from([0, 0, 0, 14, 99]), max_size=200), st.booleans())
@example(dict.fromkeys(range(200), 0), False)
@example(dict.fromkeys(range(200), 0), True)
@example({**dict.fromkeys(range(200), 0), 77: 14}, False)
async def test_responses_may_have_any_entries(codes: dict[int, int], backwards: bool) -> None:
    shuffled = dict(reversed(codes.items())) if backwards else codes
    names = {0: None, 14: "UNAVAILABLE", 99: "UNKNOWN"}

    found = await result_codes(FakeTransport(shuffled), make_entries(200))

    assert found == [names[codes.get(index, 14)] for index in range(200)]


async def test_an_entry_that_no_response_mentions_is_not_stored() -> None:
    results = await mutate_rows(FakeTransport({1: 0}), "t", "", make_entries(3), 1)  # type: ignore[arg-type]

    assert results == [UNMENTIONED, None, UNMENTIONED]
    assert UNMENTIONED.code is StatusCode.UNAVAILABLE


async def test_a_failed_call_fails_every_entry() -> None:
    late = FakeTransport(failed(StatusCode.DEADLINE_EXCEEDED))
    assert await result_codes(late, make_entries(2)) == ["DEADLINE_EXCEEDED"] * 2
    gone = ConnectionResetError("gone")
    assert await mutate_rows(FakeTransport(gone), "t", "", make_entries(2), 1) == [gone, gone]  # type: ignore[arg-type]


async def test_results_before_an_interruption_are_kept() -> None:
    transport = FakeTransport({0: 0, 2: code_pb2.NOT_FOUND}, failed(StatusCode.UNAVAILABLE))

    assert await result_codes(transport, make_entries(4)) == [None, "UNAVAILABLE", "NOT_FOUND", "UNAVAILABLE"]


async def test_an_unexpected_error_is_raised() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        await mutate_rows(FakeTransport(RuntimeError("a bug")), "t", "", make_entries(1), 1)  # type: ignore[arg-type]


def test_a_row_above_the_limit_has_several_entries() -> None:
    mutations = Mutations()
    for number in range(2 * MAX_MUTATIONS_PER_ENTRY + 1):
        mutations.set_cell(b"row", "e", str(number).encode(), 0, b"")

    assert [entry.mutations for entry in mutations.entries()] == [MAX_MUTATIONS_PER_ENTRY, MAX_MUTATIONS_PER_ENTRY, 1]
    assert {entry.row_key for entry in parse(mutations.entries())} == {b"row"}


def test_single_entries_are_one_per_mutation() -> None:
    mutations = Mutations()
    assert mutations.single_entries() == []
    for qualifier in (b"1", b"2"):
        mutations.set_cell(b"row", "e", qualifier, 1_000, b"v" + qualifier)

    found = mutations.single_entries()

    assert [entry.mutations for entry in found] == [1, 1]
    assert [(entry.row_key, entry.mutations[0].set_cell.value) for entry in parse(found)] == [
        (b"row", b"v1"),
        (b"row", b"v2"),
    ]
