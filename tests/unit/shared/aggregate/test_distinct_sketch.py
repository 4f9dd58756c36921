"""An estimate follows from the set of values alone, in every process, and is as close as it says."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.aggregate.distinct_sketch import Sketch, _text
from tests.support.samples import ROOT

scalars = (
    st.text(max_size=3)
    | st.sampled_from(["1", "true", "\0", "\0n1", "\0t\0n1", "1.0", "0", "-0"])
    | st.integers()
    | st.integers(-2, 2)
    | st.sampled_from([10**22, -(10**22), 2**53 + 1, 2**64])
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1.0, 1e22, 2.0**53, 2.0**64, 0.5])
)


@given(scalars, scalars)
@example(1, 1.0)
@example(True, 1)
@example(1, "1")
@example(1, "\0n1")
@example("\0n1", "\0t\0n1")
@example(0.0, -0.0)
@example(2**53 + 1, 2.0**53)
def test_what_is_equal_is_hashed_alike_and_nothing_else_is(one: object, other: object) -> None:
    assert (_text(one) == _text(other)) == (one == other)


def sketch(values: list[object]) -> Sketch:
    made = Sketch()
    made.add(values)
    return made


@given(st.lists(scalars, max_size=30), st.randoms(use_true_random=False))
def test_any_split_any_order_any_merge_tree(values: list[object], chance: random.Random) -> None:
    shuffled = chance.sample(values, len(values)) + chance.choices(values, k=len(values)) if values else []
    parts = [Sketch()]
    while shuffled:
        cut = chance.randint(1, len(shuffled))
        parts.append(sketch(shuffled[:cut]))
        shuffled = shuffled[cut:]

    while len(parts) > 1:
        other = parts.pop(chance.randrange(len(parts)))
        parts[chance.randrange(len(parts))].merge(other)

    assert parts[0].estimate() == sketch(values).estimate() == len(set(values))  # so few are hardly ever mistaken


def test_the_order_of_many_makes_no_difference() -> None:
    """Also where registers have been overtaken, of which an estimator could keep a history."""
    values: list[object] = [f"user-{number}" for number in range(200_000)]
    forward, backward, merged = sketch(values), sketch(values[::-1]), sketch(values[:150_000])
    merged.merge(sketch(values[100_000:]))

    estimates = {repr(each._union(each).get_estimate()) for each in (forward, backward, merged)}

    assert len(estimates) == 1


@pytest.mark.parametrize("count", [66_000, 100_000, 300_000, 1_000_000])
def test_an_estimate_is_as_close_as_it_says(count: int) -> None:
    values: list[object] = [f"user-{number}" for number in range(count)]

    made = sketch(values)

    assert made.error == 0.0081
    assert abs(made.estimate() - count) <= made.error * count


def test_every_process_hashes_alike() -> None:
    program = (
        "from shared.aggregate.distinct_sketch import Sketch; s = Sketch(); s.add(map(str, range(100_000)));"
        "print(s.estimate())"
    )
    here = sketch([str(number) for number in range(100_000)]).estimate()

    for seed in "1", "2":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=True
        )
        assert int(ran.stdout) == here, ran.stderr


def test_the_library_is_loaded_when_it_is_needed_and_not_before() -> None:
    program = (
        "import shared.ingest.pipeline, shared.aggregate.pipeline, shared.contracts.loader, shared.config, sys\n"
        "shared.contracts.loader.load_contract(shared.config.DEFAULT_CONTRACT)\n"
        "print({'datasketches', 'numpy'} & set(sys.modules))"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    assert ran.stdout == b"set()\n"
