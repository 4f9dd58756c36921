"""Row filters hold to Google's emulator: random ones, invalid ones, and the known differences."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc
import pytest
from google.api_core.exceptions import InvalidArgument
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import BigtableTableAdminGrpcTransport
from google.cloud.bigtable_v2 import BigtableClient
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport
from hypothesis import given, settings

from infra.emulators.bigtable.cells import Cell
from infra.emulators.bigtable.filters import compile_filter
from infra.emulators.errors import ApiError
from shared.config import Settings
from tests.support.row_filters import (
    BLOCK,
    FAMILIES,
    PASS,
    ROWS,
    SINK,
    STRIP,
    chain,
    column_limits,
    condition,
    family,
    interleave,
    label,
    nested,
    per_column,
    per_row,
    row_filter,
    row_limits,
    selections,
    value,
)

pytestmark = pytest.mark.integration

Rows = dict[bytes, list[Cell]]
Read = Callable[[Any], Rows]

random_filters = settings(deadline=None, max_examples=150)


@pytest.fixture(scope="module")
def google(google_emulators: Settings) -> Iterator[Read]:
    """Write the rows to Google's emulator; return the function that reads them through a filter."""
    parent, table = f"projects/filters/instances/{uuid.uuid4().hex[:12]}", "filters"
    name = f"{parent}/tables/{table}"
    with grpc.insecure_channel(str(google_emulators.bigtable_emulator)) as channel:
        admin = BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))
        client = BigtableClient(transport=BigtableGrpcTransport(channel=channel))
        admin.create_table(parent=parent, table_id=table, table={})
        for each in FAMILIES:  # one after another, as the emulator returns families in order of their creation
            admin.modify_column_families(name=name, modifications=[{"id": each, "create": {}}])
        for row_key, cells in ROWS.items():
            client.mutate_row(table_name=name, row_key=row_key, mutations=[_set_cell(cell) for cell in cells])

        def read(message: Any) -> Rows:
            return _rows(client.read_rows(request={"table_name": name, "filter": message}, timeout=10))

        assert read(PASS) == ROWS
        yield read


def _set_cell(cell: Cell) -> dict[str, Any]:
    fields = ("family_name", "column_qualifier", "timestamp_micros", "value")
    return {"set_cell": dict(zip(fields, cell[:4], strict=True))}


def _rows(responses: Any) -> Rows:
    """Return the cells by row key; the emulator repeats all fields in every chunk."""
    rows: Rows = {}
    for chunk in (chunk for response in responses for chunk in response.chunks):
        cell = Cell(chunk.family_name, chunk.qualifier, chunk.timestamp_micros, chunk.value, tuple(chunk.labels))
        rows.setdefault(chunk.row_key, []).append(cell)
    return rows


def embedded(message: Any) -> Rows:
    compiled = compile_filter(message)
    passed = {row_key: compiled(row_key, cells) for row_key, cells in ROWS.items()}
    return {row_key: passed[row_key] for row_key in sorted(passed) if passed[row_key]}


def assert_equal(message: Any, google: Read) -> None:
    """Compare the results except for the mutual order of copies of a cell, which Bigtable leaves open."""
    ours, theirs = embedded(message), google(message)

    assert list(ours) == list(theirs)
    for row_key, cells in ours.items():
        assert [cell[:3] for cell in cells] == [cell[:3] for cell in theirs[row_key]]
        assert sorted(cells) == sorted(theirs[row_key])


# Google's emulator applies a row limit to families in random order. So a row limit follows a filter of one family.
LIMITS = (
    column_limits()
    | row_limits().map(lambda limit: chain(family("a"), limit))
    | row_limits().map(lambda limit: chain(family("b"), limit))
)


@random_filters
@given(message=nested(selections() | LIMITS))
def test_random_filters_pass_the_same_cells(google: Read, message: Any) -> None:
    assert_equal(message, google)


# Which of several unequal copies a limit keeps is open. So filters with transformers are tested without limits.
@random_filters
@given(message=nested(selections()))
def test_random_filters_pass_the_same_labelled_and_stripped_cells(google: Read, message: Any) -> None:
    assert_equal(interleave(chain(message, label("one")), STRIP, chain(STRIP, message, label("two"))), google)


@pytest.mark.parametrize(
    "message",
    [
        chain(),
        chain(PASS),
        interleave(PASS),
        row_filter(pass_all_filter=False),
        row_filter(block_all_filter=False),
        row_filter(row_key_regex_filter=b""),
        row_filter(row_key_regex_filter=b"("),
        family("("),
        value(b"a**"),
        row_filter(column_qualifier_regex_filter=b"\\"),
        row_filter(row_sample_filter=0.0),
        row_filter(row_sample_filter=1.0),
        per_row(0),
        per_row(-1),
        per_column(0),
        label(""),
        label("A"),
    ],
    ids=lambda message: str(message).replace("\n", " "),
)
def test_invalid_filters_are_refused_alike(google: Read, message: Any) -> None:
    with pytest.raises(InvalidArgument):
        google(message)
    with pytest.raises(ApiError):
        compile_filter(message)


def nested_chains(depth: int) -> Any:
    return PASS if depth == 1 else chain(nested_chains(depth - 1), PASS)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(row_filter(sink=False), id="a sink that is false"),
        pytest.param(row_filter(strip_value_transformer=False), id="a transformer that is false"),
        pytest.param(condition(SINK, PASS), id="a sink in a condition"),
        pytest.param(row_filter(condition={"true_filter": PASS}), id="a condition without a predicate"),
        pytest.param(family("a|:"), id="a family pattern with a colon"),
        pytest.param(label("a" * 16), id="a label of 16 characters"),
        pytest.param(label("aB"), id="a label with another character"),
        pytest.param(chain(label("a"), label("b")), id="two labels in a chain"),
        pytest.param(nested_chains(21), id="filters nested 21 deep"),
        pytest.param(interleave(PASS, value(b"x" * 20_480)), id="a filter of more than 20,480 bytes"),
        pytest.param(row_filter(value_bitmask_filter={}), id="a bitmask without a mask"),
    ],
)
def test_google_accepts_what_the_documentation_excludes(google: Read, message: Any) -> None:
    """A known difference. Besides, `cells_per_row_offset_filter: -1` ends Google's emulator."""
    assert google(message)
    with pytest.raises(ApiError):
        compile_filter(message)


@pytest.mark.parametrize(
    ("message", "as_google"),
    [
        pytest.param(chain(interleave(PASS, SINK), BLOCK), BLOCK, id="sunk cells go on in their chain"),
        pytest.param(chain(label("l"), STRIP), STRIP, id="strip removes labels"),
        pytest.param(row_filter(value_bitmask_filter={"mask": b"nop"}), PASS, id="a bitmask passes every value"),
    ],
)
def test_google_answers_otherwise_than_documented(google: Read, message: Any, as_google: Any) -> None:
    """A known difference."""
    assert google(message) == embedded(as_google) != embedded(message)
