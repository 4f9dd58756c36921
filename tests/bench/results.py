"""Results of the benchmark: values, ratios and their targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field


class MeasurementError(Exception):
    """A run lost, duplicated or miscounted something, so it has no result."""


@dataclass(frozen=True, slots=True)
class Target:
    """The bound of a ratio: a lower one, or an upper one if `most`."""

    bound: float
    most: bool = False

    def met(self, ratio: float) -> bool:
        """Return whether a ratio meets the target."""
        return ratio <= self.bound if self.most else ratio >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.bound:,g}"


def least(bound: float) -> Target:
    """Return a target with a lower bound."""
    return Target(bound)


def most(bound: float) -> Target:
    """Return a target with an upper bound."""
    return Target(bound, most=True)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one row.

    Attributes:
        value: of this project, in `unit`; None if only its ratios were recorded.
        unit: of the value.
        ratios: of this project's value to that of each alternative; a target of the value itself has the value here.
        targets: of some ratios.
        how: how the row was measured, for the page.
        figures: of the alternatives by name, in the same unit unless the name has another one.
    """

    value: float | None
    unit: str
    ratios: Mapping[str, float]
    targets: Mapping[str, Target]
    how: str
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def target_met(self) -> bool:
        """Whether every target is met."""
        return all(target.met(self.ratios[name]) for name, target in self.targets.items())


def alternate(runs: Mapping[str, Callable[[], float]], rounds: int, *, once: Collection[str] = ()) -> dict[str, float]:
    """Run each measurement in turn for several rounds, and return the median of each.

    The speed of a shared machine varies over time; alternation exposes all measurements to the same variation.

    Args:
        runs: the measurements by name.
        rounds: how often to run each.
        once: the names of those that run in the first round only, since no target depends closely on them.
    """
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            if number == 0 or name not in once:
                found[name].append(run())
    return {name: statistics.median(values) for name, values in found.items()}
