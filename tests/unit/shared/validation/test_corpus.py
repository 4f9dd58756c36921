"""Inputs with which the fuzzer increased coverage hold the invariants of every message; `make fuzz` finds more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.invariants import CORPUS, check_input, subject
from tests.fuzz.seeds import seeds

pytestmark = pytest.mark.no_cover  # the cases repeat lines that other tests cover
INPUTS = sorted(CORPUS.iterdir())


def test_the_corpus_exists_and_is_small() -> None:
    assert 100 < len(INPUTS) <= 200
    assert sum(path.stat().st_size for path in INPUTS) < 300_000


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name[:12])
def test_an_input_of_the_corpus_holds(path: Path) -> None:
    check_input(path.read_bytes())


@pytest.mark.slow
def test_the_seeds_of_the_fuzzer_hold() -> None:
    for seed in seeds():
        check_input(seed)


def test_the_fuzzer_has_eight_different_contracts() -> None:
    assert len({subject(which).contract for which in range(8)}) == 8
