"""The row merger passes Google's conformance cases, and merging columns equals merging chunks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.bigtable import row_merger
from shared.bigtable.row_merger import Cell, InvalidChunkError, Row, RowMerger
from tests.support.read_rows_answers import Chunk, answer, chunk
from tests.support.samples import ROOT

CONFORMANCE = ROOT.parent / "shared" / "data" / "bigtable" / "readrows.json"


def conformance_cases() -> list[Any]:
    if not CONFORMANCE.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{CONFORMANCE} is missing"))]
    cases = json.loads(CONFORMANCE.read_text("utf-8"))["readRowsTests"]
    return [pytest.param(case, id=case["description"]) for case in cases]


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read every response as columns if that is possible, small ones too."""
    monkeypatch.setattr(row_merger, "_FEW_BYTES", 0)


@pytest.mark.parametrize("few_bytes", [0, 10_000], ids=["as columns", "as chunks"])
@pytest.mark.parametrize("in_one_response", [False, True], ids=["chunk by chunk", "in one response"])
@pytest.mark.parametrize("case", conformance_cases())
def test_google_conformance(
    case: dict[str, Any], in_one_response: bool, few_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_merger, "_FEW_BYTES", few_bytes)
    chunks = [ParseDict(chunk, Chunk()) for chunk in case["chunks"]]
    merger = RowMerger()
    rows: list[Row] = []
    invalid = False

    try:
        for group in [chunks] if in_one_response else [[chunk] for chunk in chunks]:
            rows += merger.add(answer(chunks=group))
        merger.finish()
    except InvalidChunkError:
        invalid = True

    expected = case.get("results", [])
    assert invalid == any(result.get("error", False) for result in expected)
    assert [(row.key, *cell) for row in rows for cell in row.cells] == [
        (
            result.get("rowKey", "").encode(),
            result.get("familyName", ""),
            result.get("qualifier", "").encode(),
            int(result.get("timestampMicros", 0)),
            result.get("value", "").encode(),
            (result["label"],) if result.get("label") else (),
        )
        for result in expected
        if not result.get("error")
    ]


def test_all_conformance_cases_are_present() -> None:
    if not CONFORMANCE.is_file():
        pytest.skip(f"{CONFORMANCE} is missing")
    assert len(conformance_cases()) == 48


# Chunks


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        ([chunk(b"b"), chunk(b"a")], "row keys out of order"),
        ([chunk(b"a"), chunk(b"a")], "row keys out of order"),
        ([chunk(b"a", commit=False), chunk(b"b")], "a new row key before the row is committed"),
        ([chunk(b"", family="e", qualifier=b"q")], "a row without a key"),
        ([chunk(b"a", family=None)], "a row whose first cell has no family or qualifier"),
        ([chunk(b"a", qualifier=None)], "a row whose first cell has no family or qualifier"),
        ([chunk(b"a", commit=False), chunk(family="f")], "a family without a qualifier"),
        ([chunk(b"a", value=b"v", value_size=9)], "a commit inside a cell"),
        ([chunk(b"a", commit=False, value_size=9), chunk(family="f", qualifier=b"q")], "a new cell inside a cell"),
        ([chunk(b"a", commit=False, value_size=9), chunk(timestamp_micros=5)], "a new cell inside a cell"),
        ([Chunk(reset_row=True)], "a reset outside a row"),
        ([chunk(b"a", commit=False), Chunk(reset_row=True, row_key=b"a")], "a reset with a cell in it"),
        ([chunk(b"a", commit=False), Chunk(reset_row=True, timestamp_micros=5)], "a reset with a cell in it"),
        ([chunk(b"a", commit=False), Chunk(reset_row=True, value=b"v")], "a reset with data in it"),
        ([chunk(b"a", commit=False), Chunk(reset_row=True, labels=["l"])], "a reset with data in it"),
        ([chunk(b"a", commit=False)], "the stream ended inside a row"),
    ],
)
def test_invalid_chunks(chunks: list[Any], problem: str) -> None:
    with pytest.raises(InvalidChunkError, match=f"^{problem}$"):
        merge(chunks)


def merge(chunks: list[Any]) -> list[Row]:
    merger = RowMerger()
    rows = list(merger.add(answer(chunks=chunks)))
    merger.finish()
    return rows


def test_a_reverse_scan_expects_descending_keys() -> None:
    rows = RowMerger(reverse=True).add(answer(chunks=[chunk(b"b"), chunk(b"a")]))
    assert [row.key for row in rows] == [b"b", b"a"]
    with pytest.raises(InvalidChunkError, match="out of order"):
        list(RowMerger(reverse=True).add(answer(chunks=[chunk(b"a"), chunk(b"b")])))


def test_scanned_keys_have_to_be_in_order() -> None:
    merger = RowMerger()
    list(merger.add(answer(chunks=[chunk(b"b")])))

    merger.scanned(b"c")
    with pytest.raises(InvalidChunkError, match="out of order"):
        merger.scanned(b"c")
    with pytest.raises(InvalidChunkError, match="out of order"):
        list(merger.add(answer(chunks=[chunk(b"c")])))


def test_a_scanned_key_inside_a_row_is_invalid() -> None:
    merger = RowMerger()
    list(merger.add(answer(chunks=[chunk(b"a", commit=False)])))

    with pytest.raises(InvalidChunkError, match="a scanned key inside a row"):
        merger.scanned(b"b")


cells = st.lists(
    st.tuples(
        st.sampled_from(["e", "f"]),
        st.binary(max_size=3) | st.integers(126, 140).map(lambda size: b"q" * size),  # lengths of one byte and of two
        st.integers(0, 3) | st.integers(1, 9),
        st.binary(max_size=9) | st.binary(min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=5,
)


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=4), cells), unique_by=lambda row: row[0]),
    st.integers(1, 200) | st.just(10_000),
    st.integers(1, 9),
    st.booleans(),
)
def test_rows_split_into_any_chunks_are_merged(
    rows: list[Any], piece_bytes: int, chunks_per_response: int, terse: bool
) -> None:
    # Responses above `_FEW_BYTES` are read as columns.
    rows.sort()
    chunks = []
    for key, row_cells in rows:
        last_family: str | None = None
        last_column: tuple[str, bytes] | None = None
        for family, qualifier, micros, value in row_cells:
            starts = list(range(0, len(value), piece_bytes)) or [0]
            for start in starts:
                last = start == starts[-1]
                new = Chunk(value=value[start : start + piece_bytes], value_size=0 if last else len(value))
                if start == 0:
                    new.timestamp_micros = micros
                    if last_column is None or not terse:
                        new.row_key = key
                    # A terse server omits an unchanged family, and an unchanged qualifier of the same family.
                    if not terse or family != last_family:
                        new.family_name.value = family
                    if not terse or (family, qualifier) != last_column:
                        new.qualifier.value = qualifier
                    last_family, last_column = family, (family, qualifier)
                chunks.append(new)
        chunks[-1].commit_row = True

    merger = RowMerger()
    found: list[Row] = []
    while chunks:
        group, chunks = chunks[:chunks_per_response], chunks[chunks_per_response:]
        found += merger.add(answer(chunks=group))
    merger.finish()

    assert [(row.key, row.cells) for row in found] == [(key, [Cell(*cell) for cell in cells]) for key, cells in rows]


@pytest.mark.usefixtures("columns")
@pytest.mark.parametrize("terse", [False, True], ids=["emulator", "Bigtable"])
def test_plain_rows_are_merged_as_columns(monkeypatch: pytest.MonkeyPatch, terse: bool) -> None:
    monkeypatch.setattr(RowMerger, "_merge_chunks", None)
    repeated: dict[str, Any] = {} if terse else {"key": b"b", "family": "e"}
    responses = [
        [chunk(b"b", commit=False, value=b"1", timestamp_micros=5)],
        [
            chunk(**repeated, qualifier=b"r", value=b"2", timestamp_micros=6, commit=False),
            chunk(repeated.get("key", b""), family="f", qualifier=b"s", value=b"3", timestamp_micros=7),
            chunk(b"c", value=b"4", timestamp_micros=8),
        ],
    ]

    merger = RowMerger()
    found = [(row.key, row.cells) for chunks in responses for row in merger.add(answer(chunks=chunks))]

    assert found == [
        (b"b", [Cell("e", b"q", 5, b"1"), Cell("e", b"r", 6, b"2"), Cell("f", b"s", 7, b"3")]),
        (b"c", [Cell("e", b"q", 8, b"4")]),
    ]


@pytest.mark.parametrize("few_bytes", [0, 10_000], ids=["as columns", "as chunks"])
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff", b"\x0a\x05\x12\x03\x0a\x01\xff"])
def test_data_that_is_no_response_is_invalid(data: bytes, few_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_merger, "_FEW_BYTES", few_bytes)
    with pytest.raises(InvalidChunkError, match="not a response"):
        list(RowMerger().add(data))


# Mostly the values of plain chunks, so that most odd chunks are odd in one field only.
odd_chunks = st.fixed_dictionaries(
    {
        "key": st.sampled_from([b"", b"", b"", b"a", b"a", b"b", b"c"]),
        "family": st.sampled_from([None, None, "e", "e", "f"]),
        "qualifier": st.sampled_from([b"q", b"q", b"q", b"r", b"", None]),
        "timestamp_micros": st.sampled_from([5, 5, 5, 6, 0]),
        "value": st.sampled_from([b"v", b"v", b"H\x01", b""]),
        "commit": st.sampled_from([False, False, True]),
    },
    optional={
        "labels": st.sampled_from([["l"], ["l", "m"], [""]]),
        "value_size": st.just(9),
        "reset_row": st.just(True),
    },
)
plain_chunks = st.fixed_dictionaries(
    {
        "key": st.sampled_from([b"", b"", b"a", b"a", b"b", b"c"]),
        "family": st.sampled_from([None, "e", "e", "f"]),
        "qualifier": st.sampled_from([b"q", b"r"]),
        "timestamp_micros": st.just(5),
        "value": st.sampled_from([b"v", b"H\x01"]),
        "commit": st.booleans(),
    },
    optional={"labels": st.just(["l"])},
)


def outcome(responses: list[bytes]) -> tuple[list[Any], str]:
    """Return the rows of responses, and the text of the error or an empty text."""
    merger = RowMerger()
    rows: list[Row] = []
    try:
        for data in responses:
            rows += merger.add(data)
        merger.finish()
    except InvalidChunkError as error:
        return [(row.key, row.cells) for row in rows], str(error)
    return [(row.key, row.cells) for row in rows], ""


@pytest.mark.slow
@settings(max_examples=1_000)
@given(
    st.lists(plain_chunks | odd_chunks, min_size=1, max_size=5) | st.lists(plain_chunks, min_size=1), st.integers(1, 5)
)
@example([{"key": b"a", "family": "e", "qualifier": b"q", "timestamp_micros": 5, "value": b"v", "commit": True}] * 2, 2)
def test_merging_columns_equals_merging_chunks(plain_and_odd: list[dict[str, Any]], chunks_per_response: int) -> None:
    chunks = [chunk(**{**each, "commit": each["commit"] and "reset_row" not in each}) for each in plain_and_odd]
    responses = [
        answer(chunks=chunks[start : start + chunks_per_response])
        for start in range(0, len(chunks), chunks_per_response)
    ]

    chunk_by_chunk = outcome(responses)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_merger, "_FEW_BYTES", 0)
        assert outcome(responses) == chunk_by_chunk
