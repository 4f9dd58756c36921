"""Events that come again soon are noticed, and memory has a bound."""

from __future__ import annotations

from shared.ingest.duplicates import Recent
from shared.row_keys import Place


def places(*numbers: int) -> list[Place]:
    return [Place(b"row", b"%d" % number, 0) for number in numbers]


def test_a_place_is_known_the_second_time() -> None:
    recent = Recent()

    assert recent.count(places(1, 2, 3)) == 0
    assert recent.count(places(3, 4)) == 1
    assert recent.count(places(1, 2, 3, 4)) == 4


def test_repetitions_within_one_message_count() -> None:
    assert Recent().count(places(1, 1, 1)) == 2


def test_row_qualifier_and_time_all_tell_places_apart() -> None:
    recent = Recent()
    recent.count([Place(b"a", b"b", 0)])

    assert recent.count([Place(b"a2", b"b", 0), Place(b"a", b"b2", 0), Place(b"a", b"b", 1_000)]) == 0


def test_just_the_last_ones_are_remembered() -> None:
    recent = Recent(size=10)
    for number in range(1_000):
        recent.count(places(number))

    assert len(recent._marks) == len(recent._order) == 10
    assert recent.count(places(*range(990, 1_000))) == 10
    assert recent.count(places(*range(100))) == 0


def test_of_more_at_once_than_are_remembered_the_last_ones_are() -> None:
    recent = Recent(size=2)

    assert recent.count(places(1, 2, 3, 4)) == 0
    assert recent.count(places(3, 4)) == 2
