"""Events that come again soon are noticed, and memory has a bound."""

from __future__ import annotations

from shared.ingest.duplicates import DuplicateDetector
from shared.row_keys import CellKey


def cell_keys(*numbers: int) -> list[CellKey]:
    return [CellKey(b"row", b"%d" % number, 0) for number in numbers]


def test_a_place_is_known_the_second_time() -> None:
    recent = DuplicateDetector()

    assert recent.count(cell_keys(1, 2, 3)) == 0
    assert recent.count(cell_keys(3, 4)) == 1
    assert recent.count(cell_keys(1, 2, 3, 4)) == 4


def test_repetitions_within_one_message_count() -> None:
    assert DuplicateDetector().count(cell_keys(1, 1, 1)) == 2


def test_row_qualifier_and_time_all_tell_places_apart() -> None:
    recent = DuplicateDetector()
    recent.count([CellKey(b"a", b"b", 0)])

    assert recent.count([CellKey(b"a2", b"b", 0), CellKey(b"a", b"b2", 0), CellKey(b"a", b"b", 1_000)]) == 0


def test_just_the_last_ones_are_remembered() -> None:
    recent = DuplicateDetector(size=10)
    for number in range(1_000):
        recent.count(cell_keys(number))

    assert len(recent._known) == len(recent._order) == 10
    assert recent.count(cell_keys(*range(990, 1_000))) == 10
    assert recent.count(cell_keys(*range(100))) == 0


def test_of_more_at_once_than_are_remembered_the_last_ones_are() -> None:
    recent = DuplicateDetector(size=2)

    assert recent.count(cell_keys(1, 2, 3, 4)) == 0
    assert recent.count(cell_keys(3, 4)) == 2
