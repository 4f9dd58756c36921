"""Blocks have the events of a source in order, of one file each, and a limited size."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sources.files import SourceReader
from shared.sources.records import Block, Piece, Record, Unreadable, batches_of, blocks_of, records_of
from tests.support.open_files import open_files

_PIECES = st.lists(
    st.one_of(
        st.builds(Record, st.just(b"1"), st.sampled_from(["a", "b"]), st.integers(1, 9)),
        st.builds(Unreadable, st.just("a"), st.integers(1, 9), st.just("found nothing"), st.just(b"")),
        st.builds(lambda count: Block([b"%d" % at for at in range(count)], "a", range(count)), st.integers(0, 9)),
    )
)


@given(_PIECES, st.integers(1, 4))
def test_blocks_hold_the_same_events_in_the_same_order(pieces: list[Piece], max_events: int) -> None:
    found = list(blocks_of(pieces, max_events))

    assert list(records_of(found)) == list(records_of(pieces))
    assert all(len(each.raws) <= max_events for each in found if isinstance(each, Block))


def test_a_block_is_divided_evenly() -> None:
    """The rest of a division would be validated as a small batch of its own."""
    block = Block([b"1"] * 1_100, "a", range(1_100))

    assert [len(part.raws) for part in block.parts(1_000)] == [550, 550]


def test_gathered_events_of_a_megabyte_end_a_block() -> None:
    """Compressed events of a megabyte each would fill the memory with a thousand of them."""
    large = [Record(b"1" * 600_000, "stdin", number) for number in range(5)]

    blocks = [each for each in blocks_of(large, 1_000) if isinstance(each, Block)]

    assert [list(block.lines) for block in blocks] == [[0, 1], [2, 3], [4]]


def test_a_batch_has_many_small_items_or_few_large_ones() -> None:
    small = [Record(b"1", "stdin", number) for number in range(2_500)]
    large = [Record(b"1" * 600_000, "stdin", number) for number in range(5)]

    assert [len(batch) for batch in batches_of(small, 1_000, 2**20)] == [1_000, 1_000, 500]
    assert [len(batch) for batch in batches_of(large, 1_000, 2**20)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", b'{"n":1}\n' * 9),
        ("a.jsonl", b'{"n":1}\r\n\n' * 9),
        ("a.json", b'[{"n":1},{"n":2}]'),
        ("a.csv", b"n\n1\n2\n\n3\n"),
    ],
    ids=["lines", "blank lines", "values", "csv"],
)
def test_a_reader_yields_the_same_events_in_blocks(name: str, data: bytes) -> None:
    def reader() -> SourceReader:
        return SourceReader([None], stdin=io.BytesIO(data), stdin_name=name)

    assert list(records_of(reader().blocks(2))) == list(reader())


def test_closed_blocks_close_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n":1}\n' * 9)
    blocks = SourceReader([tmp_path / "a.jsonl"]).blocks(2)
    next(blocks)

    blocks.close()

    assert open_files(tmp_path) == []
