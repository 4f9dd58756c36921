"""Chunks make the rows that Google's own cases say, however many come in one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.bigtable.row_merger import Cell, InvalidChunkError, Row, RowMerger
from tests.support.read_rows_answers import Chunk, answer, chunk
from tests.support.samples import ROOT

CONFORMANCE = ROOT.parent / "shared" / "data" / "bigtable" / "readrows.json"


def conformance_cases() -> list[Any]:
    if not CONFORMANCE.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{CONFORMANCE} is missing"))]
    cases = json.loads(CONFORMANCE.read_text("utf-8"))["readRowsTests"]
    return [pytest.param(case, id=case["description"]) for case in cases]


@pytest.mark.parametrize("together", [False, True], ids=["chunk by chunk", "in one answer"])
@pytest.mark.parametrize("case", conformance_cases())
def test_google_conformance(case: dict[str, Any], together: bool) -> None:
    chunks = [ParseDict(chunk, Chunk()) for chunk in case["chunks"]]
    merger = RowMerger()
    rows: list[Row] = []
    refused = False

    try:
        for some in [chunks] if together else [[chunk] for chunk in chunks]:
            rows += merger.add(answer(chunks=some))
        merger.finish()
    except InvalidChunkError:
        refused = True

    expected = case.get("results", [])
    assert refused == any(result.get("error", False) for result in expected)
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


def test_the_conformance_cases_are_all_there() -> None:
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
def test_chunks_that_make_no_rows(chunks: list[Any], problem: str) -> None:
    with pytest.raises(InvalidChunkError, match=f"^{problem}$"):
        merged(chunks)


def merged(chunks: list[Any]) -> list[Row]:
    merger = RowMerger()
    rows = list(merger.add(answer(chunks=chunks)))
    merger.finish()
    return rows


def test_a_reverse_scan_has_its_rows_in_reverse() -> None:
    rows = RowMerger(reverse=True).add(answer(chunks=[chunk(b"b"), chunk(b"a")]))
    assert [row.key for row in rows] == [b"b", b"a"]
    with pytest.raises(InvalidChunkError, match="out of order"):
        list(RowMerger(reverse=True).add(answer(chunks=[chunk(b"a"), chunk(b"b")])))


def test_scanned_keys_keep_the_order_too() -> None:
    merger = RowMerger()
    list(merger.add(answer(chunks=[chunk(b"b")])))

    merger.scanned(b"c")
    with pytest.raises(InvalidChunkError, match="out of order"):
        merger.scanned(b"c")
    with pytest.raises(InvalidChunkError, match="out of order"):
        list(merger.add(answer(chunks=[chunk(b"c")])))


def test_a_scanned_key_inside_a_row_is_refused() -> None:
    merger = RowMerger()
    list(merger.add(answer(chunks=[chunk(b"a", commit=False)])))

    with pytest.raises(InvalidChunkError, match="a scanned key inside a row"):
        merger.scanned(b"b")


cells = st.lists(
    st.tuples(
        st.sampled_from(["e", "f"]),
        st.binary(max_size=3) | st.integers(126, 140).map(lambda size: b"q" * size),  # a length of one byte or two
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
def test_rows_cut_into_chunks_anyhow_come_out_whole(rows: list[Any], piece: int, together: int, terse: bool) -> None:
    rows.sort()
    chunks = []
    for key, row_cells in rows:
        last_family: str | None = None
        last_column: tuple[str, bytes] | None = None
        for family, qualifier, micros, value in row_cells:
            starts = list(range(0, len(value), piece)) or [0]
            for start in starts:
                last = start == starts[-1]
                made = Chunk(value=value[start : start + piece], value_size=0 if last else len(value))
                if start == 0:
                    made.timestamp_micros = micros
                    if last_column is None or not terse:
                        made.row_key = key
                    # A terse server leaves out what is as it was: the family, and the qualifier within a family.
                    if not terse or family != last_family:
                        made.family_name.value = family
                    if not terse or (family, qualifier) != last_column:
                        made.qualifier.value = qualifier
                    last_family, last_column = family, (family, qualifier)
                chunks.append(made)
        chunks[-1].commit_row = True

    merger = RowMerger()
    found: list[Row] = []
    while chunks:
        some, chunks = chunks[:together], chunks[together:]
        found += merger.add(answer(chunks=some))
    merger.finish()

    assert [(row.key, row.cells) for row in found] == [(key, [Cell(*cell) for cell in cells]) for key, cells in rows]


@pytest.mark.parametrize("terse", [False, True], ids=["as the emulator", "as Bigtable"])
def test_whole_rows_are_not_gone_through_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch, terse: bool) -> None:
    monkeypatch.setattr(RowMerger, "_merge_chunks", None)
    told: dict[str, Any] = {} if terse else {"key": b"b", "family": "e"}
    answers = [
        [chunk(b"b", commit=False, value=b"1", timestamp_micros=5)],
        [
            chunk(**told, qualifier=b"r", value=b"2", timestamp_micros=6, commit=False),
            chunk(told.get("key", b""), family="f", qualifier=b"s", value=b"3", timestamp_micros=7),
            chunk(b"c", value=b"4", timestamp_micros=8),
        ],
    ]

    merger = RowMerger()
    found = [(row.key, row.cells) for chunks in answers for row in merger.add(answer(chunks=chunks))]

    assert found == [
        (b"b", [Cell("e", b"q", 5, b"1"), Cell("e", b"r", 6, b"2"), Cell("f", b"s", 7, b"3")]),
        (b"c", [Cell("e", b"q", 8, b"4")]),
    ]


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff"])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidChunkError, match="not a response"):
        list(RowMerger().add(data))


# Mostly what a plain answer has, so that most of what isn't plain is so in one thing.
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


def outcome(answers: list[bytes]) -> tuple[list[Any], str]:
    """Return the rows that answers make, and what is wrong with them."""
    merger = RowMerger()
    rows: list[Row] = []
    try:
        for data in answers:
            rows += merger.add(data)
        merger.finish()
    except InvalidChunkError as error:
        return [(row.key, row.cells) for row in rows], str(error)
    return [(row.key, row.cells) for row in rows], ""


@settings(max_examples=1_000)
@given(
    st.lists(plain_chunks | odd_chunks, min_size=1, max_size=5) | st.lists(plain_chunks, min_size=1), st.integers(1, 5)
)
@example([{"key": b"a", "family": "e", "qualifier": b"q", "timestamp_micros": 5, "value": b"v", "commit": True}] * 2, 2)
def test_columns_say_what_chunks_say_merge_chunks(made: list[dict[str, Any]], together: int) -> None:
    chunks = [chunk(**{**each, "commit": each["commit"] and "reset_row" not in each}) for each in made]
    answers = [answer(chunks=chunks[start : start + together]) for start in range(0, len(chunks), together)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.bigtable.row_merger.plain_columns", lambda *_: None)
        one_by_one = outcome(answers)

    assert outcome(answers) == one_by_one
