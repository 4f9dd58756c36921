"""Headers of length-delimited protobuf fields, for many contents at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# Lengths of contents whose headers are precomputed.
TABLE_SIZE = 2_048


def varint(number: int) -> bytes:
    """Return the varint of a number (https://protobuf.dev/programming-guides/encoding/#varints)."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


class FieldHeaders:
    """Tag and length of a length-delimited field.

    Attributes:
        table: the headers of contents of fewer than `TABLE_SIZE` bytes, by length.
    """

    def __init__(self, *tags: bytes) -> None:
        """Prepare for the tag of a field, or for the tags of fields nested in each other, the outermost first."""
        self._tags = tags[::-1]
        self.table = [self._make(length) for length in range(TABLE_SIZE)]

    def of(self, contents: Sequence[bytes]) -> list[bytes]:
        """Return the header of each content."""
        lengths = list(map(len, contents))
        if max(lengths) < TABLE_SIZE:
            return list(map(self.table.__getitem__, lengths))
        return [self.table[length] if length < TABLE_SIZE else self._make(length) for length in lengths]

    def _make(self, length: int) -> bytes:
        header = b""
        for tag in self._tags:
            header = tag + varint(length + len(header)) + header
        return header


# Entry: row_key = 1; SetCell: family_name = 1
ROW_KEY = FAMILY = FieldHeaders(b"\x0a")
# MutateRowsRequest: entries = 2; Entry: mutations = 2; SetCell: column_qualifier = 2
ENTRY = MUTATION = QUALIFIER = FieldHeaders(b"\x12")
# SetCell: value = 4
VALUE = FieldHeaders(b"\x22")
# Entry: mutations = 2, which contains Mutation: set_cell = 1
SET_CELL = FieldHeaders(b"\x12", b"\x0a")
