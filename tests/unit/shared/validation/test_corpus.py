"""What a fuzzer found to lead somewhere new holds to what is said of every message: `make fuzz` looks for more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.invariants import CORPUS, hold_for_input, judges
from tests.fuzz.seeds import seeds

INPUTS = sorted(CORPUS.iterdir())


def test_the_corpus_is_there_and_small() -> None:
    assert 100 < len(INPUTS) <= 200
    assert sum(path.stat().st_size for path in INPUTS) < 300_000


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name[:12])
def test_an_input_of_the_corpus_holds(path: Path) -> None:
    hold_for_input(path.read_bytes())


def test_what_the_search_begins_with_holds() -> None:
    for seed in seeds():
        hold_for_input(seed)


def test_the_contracts_of_the_search_are_eight_different_ones() -> None:
    assert len({judges(which).contract for which in range(8)}) == 8
