"""Row filters for tests: short constructors, and strategies of random ones over a small table."""

from __future__ import annotations

from typing import Any

from google.cloud.bigtable_v2.types import RowFilter
from hypothesis import strategies as st

from infra.emulators.bigtable.cells import Cell

# Cells of two rows, in order. Few distinct values, so that random filters separate them often.
ROWS = {
    b"row-1": [
        Cell("a", b"x", 3000, b"one"),
        Cell("a", b"x", 1000, b"\n"),
        Cell("a", b"y", 2000, b""),
        Cell("b", b"x", 2000, b"two"),
        Cell("b", b"x", 1000, b"one"),
        Cell("b", b"\xff\0", 1000, b"\xff"),
    ],
    b"row\n2": [
        Cell("a", b"", 2000, b"two"),
        Cell("b", b"x", 4000, b"one"),
        Cell("b", b"x", 3000, b"one"),
        Cell("b", b"x", 2000, b"two"),
    ],
}
FAMILIES = ("a", "b")

Message = Any  # the protobuf class behind RowFilter


def row_filter(**fields: Any) -> Message:
    return RowFilter.pb()(**fields)


def chain(*filters: Message) -> Message:
    return row_filter(chain={"filters": filters})


def interleave(*filters: Message) -> Message:
    return row_filter(interleave={"filters": filters})


def condition(predicate: Message, if_true: Message | None = None, if_false: Message | None = None) -> Message:
    return row_filter(condition={"predicate_filter": predicate, "true_filter": if_true, "false_filter": if_false})


PASS, BLOCK = row_filter(pass_all_filter=True), row_filter(block_all_filter=True)
STRIP, SINK = row_filter(strip_value_transformer=True), row_filter(sink=True)


def label(text: str) -> Message:
    return row_filter(apply_label_transformer=text)


def family(pattern: str) -> Message:
    return row_filter(family_name_regex_filter=pattern)


def qualifier(pattern: bytes) -> Message:
    return row_filter(column_qualifier_regex_filter=pattern)


def value(pattern: bytes) -> Message:
    return row_filter(value_regex_filter=pattern)


def per_column(count: int) -> Message:
    return row_filter(cells_per_column_limit_filter=count)


def per_row(count: int) -> Message:
    return row_filter(cells_per_row_limit_filter=count)


def offset(count: int) -> Message:
    return row_filter(cells_per_row_offset_filter=count)


_BOUNDS = (b"", b"\0", b"one", b"o\xff", b"two", b"x", b"y", b"\xff", b"\xff\0")


def _range(name: str) -> st.SearchStrategy[dict[str, bytes]]:
    """Draw the bounds of a column range or a value range; each may be absent."""
    starts = [{f"start_{name}_{kind}": bound} for kind in ("open", "closed") for bound in _BOUNDS]
    ends = [{f"end_{name}_{kind}": bound} for kind in ("open", "closed") for bound in _BOUNDS]
    return st.builds(lambda start, end: start | end, st.sampled_from([{}, *starts]), st.sampled_from([{}, *ends]))


def selections() -> st.SearchStrategy[Message]:
    """Draw filters that decide on each cell alone."""
    times = st.integers(0, 5).map(lambda number: number * 1000)
    return st.one_of(
        st.sampled_from([PASS, BLOCK, row_filter()]),
        st.sampled_from([b"row-1", b"row.*", rb"row\C2", rb".*\d"]).map(lambda p: row_filter(row_key_regex_filter=p)),
        st.sampled_from(["a", "b", "a|b", "[^a]", ".*"]).map(family),
        st.sampled_from([b"x", b"", b".*", rb"\C*", b"[xy]", b"\xff\0", rb"\xff."]).map(qualifier),
        st.sampled_from([b"one", b"o.*", b".*", rb"\C*", b"two|", rb"\C", b"\xff", b"(?i)ONE"]).map(value),
        st.builds(
            lambda name, bounds: row_filter(column_range_filter={"family_name": name, **bounds}),
            st.sampled_from(FAMILIES),
            _range("qualifier"),
        ),
        _range("value").map(lambda bounds: row_filter(value_range_filter=bounds)),
        st.builds(
            lambda start, end: row_filter(
                timestamp_range_filter={"start_timestamp_micros": start, "end_timestamp_micros": end}
            ),
            times,
            times,
        ),
    )


def column_limits() -> st.SearchStrategy[Message]:
    return st.integers(1, 3).map(per_column)


def row_limits() -> st.SearchStrategy[Message]:
    return st.integers(1, 4).map(per_row) | st.integers(0, 4).map(offset)


def nested(leaves: st.SearchStrategy[Message]) -> st.SearchStrategy[Message]:
    """Draw chains, interleaves and conditions of the leaves."""

    def compose(inner: st.SearchStrategy[Message]) -> st.SearchStrategy[Message]:
        several = st.lists(inner, min_size=2, max_size=3)
        branch = st.none() | inner
        return st.one_of(
            several.map(lambda each: chain(*each)),
            several.map(lambda each: interleave(*each)),
            st.builds(condition, inner, branch, branch),
        )

    return st.recursive(leaves, compose, max_leaves=8)
