"""Duplicates of recently stored events are counted, in bounded memory."""

from __future__ import annotations

from shared.ingest.duplicates import DuplicateDetector
from shared.row_keys import CellKey


def cell_keys(*numbers: int) -> list[CellKey]:
    return [CellKey(b"row", b"%d" % number, 0) for number in numbers]


def test_a_cell_key_is_known_the_second_time() -> None:
    detector = DuplicateDetector()

    assert detector.count(cell_keys(1, 2, 3)) == 0
    assert detector.count(cell_keys(3, 4)) == 1
    assert detector.count(cell_keys(1, 2, 3, 4)) == 4


def test_duplicates_within_one_message_are_counted() -> None:
    assert DuplicateDetector().count(cell_keys(1, 1, 1)) == 2


def test_cell_keys_differ_by_row_qualifier_and_timestamp() -> None:
    detector = DuplicateDetector()
    detector.count([CellKey(b"a", b"b", 0)])

    assert detector.count([CellKey(b"a2", b"b", 0), CellKey(b"a", b"b2", 0), CellKey(b"a", b"b", 1_000)]) == 0


def test_only_the_last_cell_keys_are_remembered() -> None:
    detector = DuplicateDetector(size=10)
    for number in range(1_005):
        detector.count(cell_keys(number))

    assert (len(detector._older), len(detector._newer)) == (10, 5)
    assert detector.count(cell_keys(*range(990, 1_005))) == 15
    assert detector.count(cell_keys(*range(100))) == 0


def test_the_last_cell_keys_of_an_oversized_call_are_remembered() -> None:
    detector = DuplicateDetector(size=2)

    assert detector.count(cell_keys(1, 2, 3, 4)) == 0
    assert detector.count(cell_keys(3, 4)) == 2
    assert not detector._newer
