"""The embedded Bigtable emulator and Google's return the same, but for the known differences."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

import pytest

from tests.parity.scenarios import SCENARIOS, Scenario
from tests.support.bigtable_emulator import connecting

pytestmark = pytest.mark.integration


class Difference(NamedTuple):
    """A known difference: the results of both, and why they differ."""

    embedded: Any
    google: Any
    reason: str


DIFFERENCES = {
    "a_negative_limit_of_rows": Difference("INVALID_ARGUMENT", [], "Google's emulator doesn't validate the limit"),
    "an_empty_row_key_in_a_read": Difference("INVALID_ARGUMENT", [], "Google's emulator doesn't validate row keys"),
    "a_row_that_fails_keeps_its_cells": Difference(
        [True, [(b"r", "a", b"q", 1000, b"1", [])]],
        [True, []],
        "Google's emulator applies the mutations of a row up to the one that fails",
    ),
    "an_unknown_family": Difference("NOT_FOUND", "UNKNOWN", "Google's emulator has no code for it"),
    "timestamps_out_of_range": Difference(
        ["INVALID_ARGUMENT"] * 3, ["UNKNOWN"] * 3, "Google's emulator has no code for it"
    ),
    "row_keys_and_qualifiers_over_the_limits": Difference(
        ["OK", "INVALID_ARGUMENT"] * 2, ["OK"] * 4, "Google's emulator lacks limits"
    ),
    "inverted_time_range_of_a_delete": Difference("INVALID_ARGUMENT", "OK", "Google's emulator doesn't validate it"),
    "an_increment_of_text": Difference("FAILED_PRECONDITION", "UNKNOWN", "Google's emulator has no code for it"),
    "invalid_modifications_of_families": Difference(
        ["ALREADY_EXISTS", "NOT_FOUND", "NOT_FOUND", ["a", "c"]],
        ["ALREADY_EXISTS", "UNKNOWN", "UNKNOWN", ["a", "c"]],
        "Google's emulator has no code for it",
    ),
    "a_modification_that_fails_after_others": Difference(
        ["ALREADY_EXISTS", ["a"]],
        ["ALREADY_EXISTS", ["a", "b"]],
        "Google's emulator applies the modifications up to the one that fails",
    ),
    "the_last_sample_is_the_end_of_the_table": Difference(
        [b"f", b"m", b""], [b"h", b""], "Google's emulator ignores splits and samples its last row"
    ),
    "views_of_a_table": Difference([["a"], [], ["a"], ["a"]], [["a"]] * 4, "Google's emulator ignores views"),
    "reversed_rows": Difference(
        [
            [b"g", b"d", b"c", b"b"],
            [b"g", b"d"],
            [(b"c", "a", b"p", 1000, b"1", []), (b"c", "a", b"q", 2000, b"2", []), (b"c", "a", b"q", 1000, b"v", [])],
        ],
        ["UNIMPLEMENTED"] * 3,
        "Google's emulator lacks reverse scans",
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_both_servers_return_the_same(name: str, embedded: str, google: str) -> None:
    instance = f"projects/test/instances/i-{uuid.uuid4().hex[:12]}"

    found = await _run(SCENARIOS[name], embedded, instance)
    expected = await _run(SCENARIOS[name], google, instance)

    if name in DIFFERENCES:
        assert (found, expected) == DIFFERENCES[name][:2]
    else:
        assert found == expected


async def _run(scenario: Scenario, address: str, instance: str) -> Any:
    async with connecting(address) as clients:
        clients.instance = instance
        return await scenario(clients)
