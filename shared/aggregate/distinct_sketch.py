"""A HyperLogLog sketch: an estimate of the number of distinct values in 64 KiB. Pure.

Its 65,536 registers each keep a maximum over the values' hashes. A sketch is therefore a function of the set of values,
independent of their order and of merges. Its estimate must be too. The estimator of Apache DataSketches that
also uses the order of arrival is slightly more accurate; the estimate of a union never uses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_LG_REGISTERS = 16


class Sketch:
    """The set of distinct strings, numbers and booleans, in constant memory."""

    __slots__ = ("_hll", "_library")

    def __init__(self) -> None:
        # The import takes most of a second, numpy included, and only large days need it.
        import datasketches

        self._library = datasketches
        # Start with all registers: a smaller sketch stores hashes and uses another estimator.
        self._hll = datasketches.hll_sketch(_LG_REGISTERS, datasketches.tgt_hll_type.HLL_8, True)

    def add(self, values: Iterable[Any]) -> None:
        """Add values; duplicates have no effect."""
        update = self._hll.update
        for value in set(values):
            update(_hash_input(value))

    def merge(self, other: Sketch) -> None:
        """Add the other's values."""
        self._hll = self._union(other).get_result(self._library.tgt_hll_type.HLL_8)

    def estimate(self) -> int:
        """Return the estimated number of distinct values."""
        estimate: float = self._union(self).get_estimate()
        return round(estimate)

    @property
    def error(self) -> float:
        """Relative error of the estimate: two standard errors, which 95 % of estimates stay within."""
        error: float = self._library.hll_sketch.get_rel_err(False, True, _LG_REGISTERS, 2)
        return round(error, 4)

    def _union(self, other: Sketch) -> Any:
        union = self._library.hll_union(_LG_REGISTERS)
        union.update(self._hll)
        union.update(other._hll)
        return union


def _hash_input(value: Any) -> str:
    """Return the string to hash for a value: equal for equal values, different for all others."""
    if isinstance(value, str):
        return value if value > "\1" else f"\0t{value}"  # the library ignores an empty string
    return f"\0n{int(value) if value == int(value) else value!r}"
