"""Entries with one cell each are the bytes that `Mutations` makes, for contents of any length and any time."""

from __future__ import annotations

from google.cloud.bigtable_v2.types import MutateRowsRequest
from hypothesis import given
from hypothesis import strategies as st

from shared.bigtable.cell_entries import cell_entries
from shared.bigtable.mutations import Mutations

# Around the lengths at which a varint grows, and at which the tables of headers end.
lengths = st.sampled_from([0, 1, 90, 127, 128, 1_950, 2_000, 2_047, 2_048, 16_384])
times = st.one_of(st.just(1_705_276_800_000_000), st.integers(0, 2**62))
cells = st.tuples(lengths.filter(bool), lengths, times, lengths)


@given(st.sampled_from(["e", "f" * 64]), st.lists(cells, max_size=5))
def test_entries_are_those_of_mutations(family: str, cells: list[tuple[int, int, int, int]]) -> None:
    mutations = Mutations()
    for row_key, qualifier, micros, value in cells:
        mutations.set_cell(b"r" * row_key, family, b"q" * qualifier, micros, b"v" * value)
    columns = list(zip(*cells, strict=True)) or [(), (), (), ()]

    found = cell_entries(
        family,
        [b"r" * length for length in columns[0]],
        [b"q" * length for length in columns[1]],
        columns[2],
        [b"v" * length for length in columns[3]],
    )

    assert found == mutations.single_entries()


def test_google_parses_an_entry() -> None:
    [entry] = cell_entries("e", [b"row"], [b"q"], [1_705_276_800_000_000], [b"v"])

    assert entry.mutations == 1
    [parsed] = MutateRowsRequest.deserialize(entry.wire).entries
    cell = {"family_name": "e", "column_qualifier": b"q", "timestamp_micros": 1_705_276_800_000_000, "value": b"v"}
    assert parsed == MutateRowsRequest.Entry(row_key=b"row", mutations=[{"set_cell": cell}])
