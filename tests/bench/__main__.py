"""Measure this project beside its alternatives: `python -m tests.bench [--rows 1,5] [--json FILE]`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import msgspec
from rich.console import Console

from infra.local.supervisor import Supervisor
from shared.errors import SluiceError
from tests.bench import page
from tests.bench.results import MeasurementError, Result
from tests.bench.rows import ROWS, Row
from tests.bench.servers import Servers


class _RowNumbers(click.ParamType[list[int]]):
    name = "ROWS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        try:
            numbers = sorted({int(text) for text in str(value).split(",")})
        except ValueError:
            numbers = []
        if not numbers or not set(numbers) <= set(ROWS):
            self.fail(f"found {value!r}, expected some of {','.join(map(str, ROWS))}", param, ctx)
        return numbers


@click.command()
@click.option("--rows", type=_RowNumbers(), help="Rows to measure, such as 1,5.  [default: all]")
@click.option(
    "--json",
    "json",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write JSON to this file.",
)
@click.option(
    "--page",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the page to this file.",
)
def main(rows: list[int] | None, json: Path | None, target: Path | None) -> None:
    """Measure the rows and print a table of ratios and of the targets they meet."""
    numbers = rows or list(ROWS)
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    results: dict[int, Result] = {}
    failures: dict[int, str] = {}
    started = time.monotonic()
    try:
        for number in numbers:
            results |= _measure(number, ROWS[number], progress, failures)
    except SluiceError as error:
        progress.print(f"bench: {error}", style="red", markup=False)
        sys.exit(1)
    console.print(page.table(results))
    minutes = (time.monotonic() - started) / 60
    if json is not None:
        rows_json = {str(number): result.as_json() for number, result in results.items()}
        failed = {str(number): text for number, text in failures.items()}
        json.write_bytes(msgspec.json.format(msgspec.json.encode({"rows": rows_json, "wrong": failed})) + b"\n")
    if target is not None and not failures:
        target.write_text(page.markdown(results, minutes), "utf-8")
    sys.exit(1 if failures else 0)


def _measure(number: int, row: Row, progress: Console, failures: dict[int, str]) -> dict[int, Result]:
    """Measure one row; end every process that it started."""
    started = time.monotonic()
    progress.print(f"row {number}: {row.work} ...")
    try:
        with Supervisor() as supervisor:
            result = row.measure(Servers(supervisor))
    except MeasurementError as error:
        failures[number] = str(error)
        progress.print(f"row {number} has no result: {error}", style="red", markup=False)
        return {}
    progress.print(f"row {number}: {page.outcome(result)} ({time.monotonic() - started:.0f} s)", markup=False)
    return {number: result}


if __name__ == "__main__":
    main()
