"""Row filters of Bigtable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.emulators.bigtable.cells import Cell

Filter = Callable[[bytes, list[Cell]], list[Cell]]


def compile_filter(message: Any) -> Filter:
    """Return the filter of a `google.bigtable.v2.RowFilter`: row key, cells in order -> cells that pass, in order."""
    if message.WhichOneof("filter") in (None, "pass_all_filter"):
        return lambda _row_key, cells: cells
    raise NotImplementedError
