"""An estimate depends only on the set of values, in every process, and stays within its stated error."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.aggregate.distinct_sketch import Sketch, _hash_input
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
def test_exactly_equal_values_share_a_hash_input(one: object, other: object) -> None:
    assert (_hash_input(one) == _hash_input(other)) == (one == other)


def sketch_of(values: list[object]) -> Sketch:
    sketch = Sketch()
    sketch.add(values)
    return sketch


@given(st.lists(scalars, max_size=30), st.randoms(use_true_random=False))
def test_estimates_are_independent_of_order_split_and_merges(values: list[object], chance: random.Random) -> None:
    shuffled = chance.sample(values, len(values)) + chance.choices(values, k=len(values)) if values else []
    sketches = [Sketch()]
    while shuffled:
        cut = chance.randint(1, len(shuffled))
        sketches.append(sketch_of(shuffled[:cut]))
        shuffled = shuffled[cut:]

    while len(sketches) > 1:
        other = sketches.pop(chance.randrange(len(sketches)))
        sketches[chance.randrange(len(sketches))].merge(other)

    assert sketches[0].estimate() == sketch_of(values).estimate()
    # So few values are counted exactly, except that values in the same one of 65,536 registers count once.
    assert 0 <= len(set(values)) - sketches[0].estimate() <= 2


def test_the_estimate_is_independent_of_the_order_of_many_values() -> None:
    """Registers are overwritten here, and an estimator could use the history of that."""
    values: list[object] = [f"user-{number}" for number in range(200_000)]
    forward, backward, merged = sketch_of(values), sketch_of(values[::-1]), sketch_of(values[:150_000])
    merged.merge(sketch_of(values[100_000:]))

    estimates = {repr(each._union(each).get_estimate()) for each in (forward, backward, merged)}

    assert len(estimates) == 1


@pytest.mark.parametrize("count", [66_000, 100_000, 300_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_an_estimate_is_within_its_stated_error(count: int) -> None:
    values: list[object] = [f"user-{number}" for number in range(count)]

    sketch = sketch_of(values)

    assert sketch.error == 0.0081
    assert abs(sketch.estimate() - count) <= sketch.error * count


def test_every_process_computes_the_same_estimate() -> None:
    program = (
        "from shared.aggregate.distinct_sketch import Sketch; s = Sketch(); s.add(map(str, range(100_000)));"
        "print(s.estimate())"
    )
    expected = sketch_of([str(number) for number in range(100_000)]).estimate()

    for seed in "1", "2":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=True
        )
        assert int(ran.stdout) == expected, ran.stderr


def test_the_sketch_library_is_imported_only_when_needed() -> None:
    program = (
        "import shared.ingest.pipeline, shared.aggregate.pipeline, shared.contracts.loader, shared.config, sys\n"
        "shared.contracts.loader.load_contract(shared.config.DEFAULT_CONTRACT)\n"
        "print({'datasketches', 'numpy'} & set(sys.modules))"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    assert ran.stdout == b"set()\n"
