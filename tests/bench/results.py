"""What a row of the benchmark found: figures, ratios, and whether they are what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Wrong(Exception):  # noqa: N818 - what is wrong is the run, and it is told as such
    """A run that lost, doubled or miscounted something: it has no figure."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio has to be at least, or at most."""

    bound: float
    most: bool = False

    def met(self, ratio: float) -> bool:
        """Return whether a ratio is good enough."""
        return ratio <= self.bound if self.most else ratio >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.bound:,g}"


def least(bound: float) -> Target:
    """Return the target of a ratio that has to reach a bound."""
    return Target(bound)


def most(bound: float) -> Target:
    """Return the target of a ratio that must not go beyond a bound."""
    return Target(bound, most=True)


@dataclass(frozen=True, slots=True)
class Result:
    """One row.

    Attributes:
        value: of this project, in `unit`.
        figures: of the others, in the same unit unless the name says otherwise.
        ratios: of this project's figure to another's, by that one's name; where the target is a figure of this
            project's own, that figure.
        targets: for each ratio what it has to be.
        how: how it was measured, for a reader of the table.
    """

    value: float
    unit: str
    ratios: Mapping[str, float]
    targets: Mapping[str, Target]
    how: str
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def target_met(self) -> bool:
        """Whether every target is."""
        return all(target.met(self.ratios[name]) for name, target in self.targets.items())

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        return {
            "value": self.value,
            "unit": self.unit,
            "ratios": dict(self.ratios),
            "targets": {name: str(target) for name, target in self.targets.items()},
            "figures": dict(self.figures),
            "target_met": self.target_met,
        }


def alternate(runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run everything in turn, several times over, and return the median of each.

    A machine that others use too is slow for a while and fast for a while; taking turns lets everyone have both.
    """
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return {name: statistics.median(values) for name, values in found.items()}
