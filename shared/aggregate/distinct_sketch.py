"""A HyperLogLog sketch: an estimate of the number of distinct values in 64 KiB. Pure.

Its 65,536 registers each keep a maximum over the values' hashes. A sketch is therefore a function of the set of values,
independent of their order and of merges. Its estimate must be too. The estimator of Apache DataSketches that
also uses the order of arrival is slightly more accurate; the estimate of a union never uses it.

A compact sketch has 16,384 registers in 12 KiB. A union with it has as few registers, with their larger error.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable
from typing import Any

_LG_REGISTERS = 16
_LG_COMPACT_REGISTERS = 14
# The byte of a serialized sketch that has flags, and the flag that it started with all registers. Whether the library
# sets it depends on the history. https://github.com/apache/datasketches-cpp/blob/5.2.0/hll/include/HllUtil.hpp
_FLAGS, _FULL_SIZE = 5, 32


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
        """Add the other's values; the result has as few registers as the smaller sketch."""
        self._hll = self._union(other).get_result(self._library.tgt_hll_type.HLL_8)

    def estimate(self) -> int:
        """Return the estimated number of distinct values."""
        estimate: float = self._union(self).get_estimate()
        return round(estimate)

    @property
    def error(self) -> float:
        """Relative error of the estimate: two standard errors, which 95 % of estimates stay within."""
        error: float = self._library.hll_sketch.get_rel_err(False, True, self._hll.lg_config_k, 2)
        return round(error, 4)

    def encode(self, *, compact: bool) -> str:
        """Return the sketch in base64; equal sets of values give equal texts."""
        types = self._library.tgt_hll_type
        lg_registers, register_type = (_LG_COMPACT_REGISTERS, types.HLL_6) if compact else (_LG_REGISTERS, types.HLL_8)
        hll = self._hll
        for _ in range(2):  # the first union may only drop registers; the second drops the order of arrival
            union = self._library.hll_union(lg_registers)
            union.update(hll)
            union.update(hll)
            hll = union.get_result(register_type)
        data = bytearray(hll.serialize_compact())
        data[_FLAGS] |= _FULL_SIZE
        return b64encode(data).decode()

    @classmethod
    def decode(cls, text: str) -> Sketch:
        """Return the sketch that `encode` returned; ValueError if the text is another one."""
        sketch = cls()
        try:
            sketch._hll = sketch._library.hll_sketch.deserialize(b64decode(text, validate=True))
        except (ValueError, RuntimeError, IndexError) as error:
            raise ValueError(f"found no sketch: {error}") from None
        return sketch

    def _union(self, other: Sketch) -> Any:
        union = self._library.hll_union(_LG_REGISTERS)
        union.update(self._hll)
        union.update(other._hll)
        return union


def distinct_keys(values: Collection[Any]) -> list[str]:
    """Return a string for each of the distinct values, sorted."""
    return distinct_text_keys(values) if set(map(type, values)) <= {str} else sorted(map(_hash_input, values))


def distinct_text_keys(texts: Collection[str]) -> list[str]:
    """Return the same for distinct texts."""
    keys = sorted(texts)
    return keys if not keys or keys[0] > "\1" else sorted(map(_hash_input, texts))


def value_of_key(key: str) -> Any:
    """Return a value whose key this is."""
    if key[:2] == "\0t":
        return key[2:]
    if key[:2] != "\0n":
        return key
    return int(key[2:]) if key[2:].lstrip("-").isdigit() else float(key[2:])


def _hash_input(value: Any) -> str:
    """Return the string to hash for a value: equal for equal values, different for all others."""
    if isinstance(value, str):
        return value if value > "\1" else f"\0t{value}"  # the library ignores an empty string
    return f"\0n{int(value) if value == int(value) else value!r}"
