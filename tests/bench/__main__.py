"""Measure this project beside its alternatives: `python -m tests.bench [--rows 1,5] [--json FILE] [--record]`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from infra.local.supervisor import Supervisor
from shared.errors import SluiceError
from tests.bench.preflight import missing_programs
from tests.bench.report import page, runs
from tests.bench.report.machine import parallel_speed, this_machine
from tests.bench.results import MeasurementError, Result
from tests.bench.rows import ROWS, Row, numbers_of
from tests.bench.servers import Servers


class _RowNumbers(click.ParamType[list[int]]):
    name = "ROWS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        try:
            return numbers_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--rows", type=_RowNumbers(), help="Rows to measure, such as 1,5.  [default: all]")
@click.option(
    "--json",
    "json",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the run as JSON to this file.",
)
@click.option("--record", is_flag=True, help="Also add the run to tests/bench/runs and write docs/benchmarks.md.")
def main(rows: list[int] | None, json: Path | None, record: bool) -> None:
    """Measure the rows and print a table of ratios and of the targets they meet."""
    if rows and record:
        raise click.UsageError("found --rows with --record, expected one of them: a recorded run has all rows")
    # Python's default, which some containers change: programs of users and functions have bytecode.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    numbers = rows or list(ROWS)
    if missing := missing_programs(numbers):
        sys.exit("\n".join(f"bench: {line}" for line in missing))
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    machine = replace(this_machine(), parallel=parallel_speed())
    results: dict[int, Result] = {}
    started = time.monotonic()
    for number in numbers:
        results |= _measure(number, ROWS[number], progress)
    console.print(page.table(results))
    run = runs.of_machine(machine, results, (time.monotonic() - started) / 60)
    if json is not None:
        json.write_bytes(run.as_json())
    if failed := [number for number in numbers if number not in results]:
        unchanged = "; the page and the recorded runs are unchanged" if record else ""
        sys.exit(f"bench: no result for row {', '.join(map(str, failed))}, for the reasons above{unchanged}")
    if record:
        run.path.write_bytes(run.as_json())
        page.PAGE.write_text(page.markdown(runs.load()), "utf-8")
        progress.print(f"wrote {run.path.name} and {page.PAGE.name}", markup=False)


def _measure(number: int, row: Row, progress: Console) -> dict[int, Result]:
    """Measure one row and end every process that it started; without a result, print the reason."""
    started = time.monotonic()
    progress.print(f"row {number}: {row.work} ...")
    try:
        with Supervisor() as supervisor:
            result = row.measure(Servers(supervisor))
    except (MeasurementError, SluiceError) as error:
        progress.print(f"row {number} has no result: {error}", style="red", markup=False)
        return {}
    progress.print(f"row {number}: {page.outcome(result)} ({time.monotonic() - started:.0f} s)", markup=False)
    return {number: result}


if __name__ == "__main__":
    main()
