"""Measures as a contract names them: `plays = "count"`, `listeners = "unique(user_id)"`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from shared.numbers import Max, Mean, Min, Sum
from shared.parts import Count, Part, Unique

Function = Literal["count", "unique", "sum", "min", "max", "mean"]

_WRITTEN = re.compile(r"\s*(unique|sum|min|max|mean)\s*\(\s*([^()]+?)\s*\)\s*")
_PARTS: dict[str, type[Part]] = {
    "count": Count,
    "unique": Unique,
    "sum": Sum,
    "min": Min,
    "max": Max,
    "mean": Mean,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure.

    Attributes:
        field: whose values are measured; None for `count`, which measures events.
    """

    name: str
    function: Function
    field: str | None

    @classmethod
    def parse(cls, name: str, text: str) -> Measure | None:
        """Read a measure; None if the text isn't one."""
        if text.strip() == "count":
            return cls(name, "count", None)
        match = _WRITTEN.fullmatch(text)
        return cls(name, cast(Function, match[1]), match[2]) if match else None

    @property
    def error_name(self) -> str:
        """The name of the figure that says how far this one may be off, where it is an estimate."""
        return f"{self.name}_error"

    @property
    def part(self) -> type[Part]:
        """The type of its parts."""
        return _PARTS[self.function]
