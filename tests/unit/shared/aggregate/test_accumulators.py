"""Accumulators are exact and independent, to the last bit, of the order, split and merges of the events."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.aggregate.accumulators import MAX_EXACT_DISTINCT, Column, Count, Unique
from shared.aggregate.numeric_accumulators import Max, Mean, Min, Sum

FUNCTIONS = {"count": Count, "unique": Unique, "sum": Sum, "min": Min, "max": Max, "mean": Mean}

floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = (
    st.integers(-(2**63), 2**64 - 1)
    | floats
    | floats.map(lambda number: number * 1e-300)  # down to the smallest floats
    | st.sampled_from([0, 0.0, -0.0, 1, 1.0, 0.1, -0.1, 5e-324, 1e16, 2**53 + 1, float(2**53), 1.7e308, -1.7e308])
)
values = numbers | st.none() | st.booleans() | st.text(max_size=2) | st.just([1]) | st.just({"a": 1})


def accumulator_of(function: str, taken: list[Any]) -> Any:
    accumulator = FUNCTIONS[function]()
    accumulator.add(taken)
    return accumulator


def result_of(function: str, taken: list[Any]) -> Any:
    return accumulator_of(function, taken).result()


def exactly(result: Any) -> str:
    """Distinguish 1 from 1.0 and 0.0 from -0.0."""
    return repr(result)


@pytest.mark.parametrize("function", FUNCTIONS)
@given(taken=st.lists(values, max_size=12), chance=st.randoms(use_true_random=False), limit=st.sampled_from([3, 10**6]))
@example(taken=[1e16, 1.0, 0.1, -1e16, 0.2, 0.3], chance=random.Random(1), limit=3)
@example(taken=[1.7e308, 1.7e308, -1.7e308], chance=random.Random(2), limit=3)
@example(taken=[1, 1.0, True, "1", "2"], chance=random.Random(3), limit=3)
def test_results_are_independent_of_order_split_and_merges(
    function: str, taken: list[Any], chance: random.Random, limit: int
) -> None:
    """Also with small buffers, and with estimated distinct values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.aggregate.accumulators.MAX_EXACT_DISTINCT", limit)
        patch.setattr("shared.aggregate.accumulators._MAX_BUFFERED_VALUES", chance.choice([0, 2, 100]))
        patch.setattr("shared.aggregate.numeric_accumulators._MAX_BUFFERED_VALUES", chance.choice([0, 2, 100]))
        # Given the values in another order, split anywhere, each piece added in one call, in two, or value by value
        shuffled = chance.sample(taken, len(taken))
        accumulators: list[Any] = [FUNCTIONS[function]()]
        while shuffled:
            cut = chance.randint(1, len(shuffled))
            accumulators.append(FUNCTIONS[function]())
            middle = chance.randint(0, cut)
            accumulators[-1].add(shuffled[:middle])
            if chance.random() < 0.5:
                accumulators[-1].add(shuffled[middle:cut])
            else:
                targets = [chance.choice(accumulators) for _ in shuffled[middle:cut]]
                FUNCTIONS[function].add_each(targets, shuffled[middle:cut])
            shuffled = shuffled[cut:]

        # When random pairs are merged until one accumulator is left
        while len(accumulators) > 1:
            other = accumulators.pop(chance.randrange(len(accumulators)))
            accumulators[chance.randrange(len(accumulators))].merge(other)

        # Then the result equals that of a single accumulator
        whole = FUNCTIONS[function]()
        whole.add(taken)
        assert exactly(accumulators[0].result()) == exactly(whole.result())
        assert accumulators[0].error == whole.error


def through_json(accumulator: Any, *, compact: bool) -> Any:
    """Return the accumulator as it is restored from what a table has of it."""
    result, state = accumulator.result(), accumulator.state(compact=compact)
    stored = msgspec.json.decode(msgspec.json.encode([result, state]))
    return type(accumulator).restore(*stored)


@pytest.mark.parametrize("function", FUNCTIONS)
@given(
    taken=st.lists(st.lists(values, max_size=6), min_size=1, max_size=4),
    chance=st.randoms(use_true_random=False),
    compact=st.booleans(),
    limit=st.sampled_from([3, 10**6]),
)
@example(taken=[[1.7e308, 1.7e308], [-1.7e308]], chance=random.Random(1), compact=True, limit=10**6)
@example(taken=[[1, 1.0, True], [True, 1.0], [""]], chance=random.Random(2), compact=True, limit=10**6)
@example(taken=[[10**400], [-(10**400), 0.5]], chance=random.Random(3), compact=True, limit=10**6)
@example(taken=[[0.1, 0.2], [0.3]], chance=random.Random(4), compact=False, limit=10**6)
def test_restored_accumulators_merge_to_the_result_of_all_values(
    function: str, taken: list[list[Any]], chance: random.Random, compact: bool, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.aggregate.accumulators.MAX_EXACT_DISTINCT", limit)
        patch.setattr("shared.aggregate.accumulators.MAX_STORED_DISTINCT", limit)
        whole = accumulator_of(function, [value for each in taken for value in each])
        parts = [accumulator_of(function, chance.sample(each, len(each))) for each in taken]
        states = [part.state(compact=compact) for part in parts]
        merged, *others = [through_json(part, compact=compact) for part in parts]

        # A restored accumulator has the same state, and so has one of the same values in another order
        again = [through_json(part, compact=compact).state(compact=compact) for part in parts]
        assert again == states == [accumulator_of(function, each).state(compact=compact) for each in taken]

        for other in others:
            merged.merge(other)
        assert exactly(merged.result()) == exactly(whole.result())


@pytest.mark.parametrize("function", FUNCTIONS)
@given(taken=st.lists(st.lists(values, max_size=4), max_size=4), column=st.booleans())
def test_slices_of_a_column_have_the_results_of_separate_accumulators(
    function: str, taken: list[list[Any]], column: bool
) -> None:
    flat = [value for each in taken for value in each]
    bounds = list(accumulate(map(len, taken), initial=0))
    slices = [slice(*each) for each in pairwise(bounds)]

    in_slices = Column(flat) if column else flat
    results, states = FUNCTIONS[function].results(in_slices, slices, states=True)

    expected = [accumulator_of(function, each) for each in taken]
    assert list(map(exactly, results)) == [exactly(each.result()) for each in expected]
    assert states == [each.state(compact=True) for each in expected]
    without = FUNCTIONS[function].results(in_slices, slices, states=False)
    assert (list(map(exactly, without[0])), without[1]) == (list(map(exactly, results)), [None] * len(slices))


def test_distinct_values_are_exact_up_to_a_limit_and_estimated_beyond() -> None:
    accumulator = Unique()
    accumulator.add([f"user-{number}" for number in range(MAX_EXACT_DISTINCT)])
    assert (accumulator.result(), accumulator.error) == (MAX_EXACT_DISTINCT, None)

    accumulator.add(["one more"])

    assert accumulator.error == 0.0081
    assert abs(accumulator.result() - MAX_EXACT_DISTINCT) <= 0.0081 * MAX_EXACT_DISTINCT
    assert len(accumulator.buffer) == 0


@given(st.lists(numbers))
def test_a_sum_is_the_exact_total_rounded_once(taken: list[Any]) -> None:
    total = sum(map(Fraction, taken), Fraction(0))
    try:
        expected: Any = float(total) if any(type(number) is float for number in taken) else int(total)
    except OverflowError:
        expected = None

    assert exactly(result_of("sum", taken)) == exactly(expected)


@given(st.lists(numbers, min_size=1))
def test_a_mean_is_the_exact_total_divided_by_the_count(taken: list[Any]) -> None:
    assert result_of("mean", taken) == float(sum(map(Fraction, taken), Fraction(0)) / len(taken))


@given(st.lists(numbers, min_size=1))
def test_min_and_max_match_plain_python(taken: list[Any]) -> None:
    assert result_of("min", taken) == min(taken)
    assert result_of("max", taken) == max(taken)


@given(st.lists(values))
def test_count_and_unique_match_plain_python(taken: list[Any]) -> None:
    assert result_of("count", taken) == len(taken)
    assert result_of("unique", taken) == len({value for value in taken if isinstance(value, str | int | float)})


@pytest.mark.parametrize(
    ("function", "taken", "result"),
    [
        ("count", [], "0"),
        ("unique", [], "0"),
        ("sum", [], "0"),
        ("mean", [], "None"),
        ("min", [], "None"),
        ("max", [], "None"),
        ("count", [None, "a", 1], "3"),
        ("unique", ["a", "a", "b", None, ["a"], {}], "2"),
        ("sum", [1, 2, None, "3", True], "3"),
        ("sum", [1, 2.0], "3.0"),
        ("sum", [0.1] * 10, "1.0"),
        ("sum", [1e100, 1.0, -1e100], "1.0"),
        ("sum", [-0.0], "0.0"),
        ("sum", [1.7e308, 1.7e308], "None"),
        ("mean", [1.7e308, 1.7e308], "1.7e+308"),
        ("mean", [1, 2, None, "x", True], "1.5"),
        ("min", [1, 1.0], "1"),
        ("max", [1.0, 1], "1"),
        ("min", [0.0, -0.0], "0.0"),
        ("max", [-0.0], "0.0"),
        ("max", [2**53 + 1, float(2**53)], str(2**53 + 1)),
        ("min", [True, "0", None, 5], "5"),
    ],
)
def test_results_of_edge_cases(function: str, taken: list[Any], result: str) -> None:
    assert exactly(result_of(function, taken)) == result
