"""The results as a table for a terminal, and docs/benchmarks.md, which shows the newest run of each machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from tests.bench.report.runs import Run
from tests.bench.results import Result
from tests.bench.rows import ROWS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "benchmarks.md"

_RATIO = "ratio: "

INTRODUCTION = """# Benchmarks

`make bench` measures this project beside the alternatives, in one run on one machine. It records the run in
`tests/bench/runs` and writes this page from the newest run of each machine. Ratios are comparable between machines;
absolute values aren't. What a run stored is read back and counted; a run that lost or duplicated an event has no
result.
"""

ALTERNATIVES = """## Alternatives

- **A** is a function written by hand (`tests/bench/peers/by_hand`): functions-framework, `json.loads`, and a row and a
  `row.commit()` for each event.
- **B** is Google's clients at their best: the async data client and its mutations batcher, `read_rows` for measures.
- **C** is Apache Beam in Python on its local runner: WriteToBigTable, and CombinePerKey for measures.
- **Limits** are the most that the platform allows: a function that does nothing (no-op), MutateRows calls with prebuilt
  bytes, ReadRows responses that aren't parsed.
"""


def table(results: Mapping[int, Result]) -> Table:
    """Return the table for a terminal."""
    made = Table("#", "work", "value", "ratios", "others", "met", title="Measured side by side", title_justify="left")
    for number, result in results.items():
        made.add_row(str(number), *_cells(number, result, "\n"))
    return made


def outcome(result: Result) -> str:
    """Return one line that says what came out."""
    return f"{_value(result)}; {', '.join(_ratios(result))}{'' if result.target_met else ' — not met'}"


def markdown(runs: Sequence[Run]) -> str:
    """Return the page."""
    sections = [INTRODUCTION, _differences(runs), *map(_run, runs), _how(runs), ALTERNATIVES]
    return "\n".join(filter(None, sections))


def figure(value: float) -> str:
    """Return a figure with three or four digits, so that a ratio close to its target isn't rounded to it."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.4g}"


def _run(run: Run) -> str:
    """Return the section of a run; rows that it didn't measure are shown as such, except in a partial record."""
    duration = [f"{run.minutes:.0f} minutes"] if run.minutes is not None else []
    facts = [", ".join([*duration, str(run.machine)]) + ".", *([f"{run.versions}."] if run.versions else [])]
    lines = [f"## {_title(run)}", "", *([run.note, ""] if run.note else []), *facts, ""]
    lines += ["| # | work | this project | ratios | others | met |", "| --- | --- | --- | --- | --- | --- |"]
    for number in run.rows if run.note else ROWS:
        result = run.rows.get(number)
        cells = _cells(number, result, "<br>") if result else [ROWS[number].work, "not measured", "", "", ""]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _differences(runs: Sequence[Run]) -> str:
    """Return the section of what was measured on several machines, side by side."""
    if len(runs) < 2:
        return ""
    lines = [
        "## What differed",
        "",
        "What was recorded on more than one machine, with the targets of the newest run.",
        "",
    ]
    lines.append(f"| # | measure | target | {' | '.join(map(_title, runs))} |")
    lines.append("|" + " --- |" * (3 + len(runs)))
    for number in ROWS:
        results = [run.rows.get(number) for run in runs]
        newest = next(filter(None, (run.rows.get(number) for run in sorted(runs, key=_by_age))), None)
        for name, values in _measures(results):
            if sum(value is not None for value in values) > 1:
                target = newest.targets.get(name.removeprefix(_RATIO)) if newest and name.startswith(_RATIO) else None
                shown = ["" if value is None else figure(value) for value in values]
                lines.append(f"| {number} | {name} | {target or ''} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def _measures(results: Sequence[Result | None]) -> Iterator[tuple[str, list[float | None]]]:
    """Yield the measures of a row by name: the value, the figures of the others, then the ratios."""
    measured = [result for result in results if result]
    units = dict.fromkeys(result.unit for result in measured if result.value is not None)
    for unit in units:
        yield f"this project, {unit}", [result.value if result else None for result in results]
    for name in dict.fromkeys(name for result in measured for name in result.figures):
        yield name, [result.figures.get(name) if result else None for result in results]
    for name in dict.fromkeys(name for result in measured for name in result.ratios):
        yield f"{_RATIO}{name}", [result.ratios.get(name) if result else None for result in results]


def _how(runs: Sequence[Run]) -> str:
    """Return the section of how each row is measured, in the words of the newest run that has the row."""
    lines = ["## How each row is measured", ""]
    for number in ROWS:
        results = (run.rows.get(number) for run in sorted(runs, key=_by_age))
        text = next((result.how for result in results if result and result.how), "")
        if text:
            lines.append(f"{number}. {text}.")
    return "\n".join([*lines, ""])


def _by_age(run: Run) -> int:
    return -run.date.toordinal()


def _title(run: Run) -> str:
    return f"{run.machine.processor}, {run.date}"


def _cells(number: int, result: Result, line: str) -> list[str]:
    others = line.join(f"{name} {figure(value)}" for name, value in result.figures.items())
    met = ("yes" if result.target_met else "**no**") if result.targets else "no target"
    return [ROWS[number].work, _value(result), line.join(_ratios(result)), others, met]


def _value(result: Result) -> str:
    return "not recorded" if result.value is None else f"{figure(result.value)} {result.unit}"


def _ratios(result: Result) -> list[str]:
    targets = {name: f" ({target})" for name, target in result.targets.items()}
    return [f"{name} {figure(ratio)}{targets.get(name, '')}" for name, ratio in result.ratios.items()]
