"""Commands that take data out: `export` to Parquet files, `sql` for queries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli import options
from shared.config import Settings
from shared.contracts.loader import load_contract

if TYPE_CHECKING:
    from infra.export.day_tables.tables import TableName
    from infra.export.exporter import ExportedDay

_TABLES = ("events", "rejected", "aggregates")


@click.command()
@click.option(
    "--what",
    "tables",
    type=click.Choice(_TABLES),
    multiple=True,
    default=_TABLES,
    show_default="all three",
    help="A table to export; repeatable.",
)
@options.days("yesterday")
@click.option("--into", "into", required=True, metavar="FOLDER", help="A folder, or gs://BUCKET[/FOLDER].")
@click.option("--force", is_flag=True, help="Write days again that haven't changed, or that have no rows any more.")
@options.contract
@options.instance
@options.as_json
def export(
    tables: tuple[TableName, ...],
    day: date | None,
    first: date | None,
    last: date | None,
    into: str,
    force: bool,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Write days to Parquet files, one for each table and day; unchanged days are skipped.

    Example: sluice export --what events --from 2024-01-15 --to 2024-01-17 --into exported
    """
    from infra.export.packages import require

    require("pyarrow")
    from infra.export.day_tables.tables import day_table
    from infra.export.exporter import Exporter
    from infra.export.files.destinations import destination
    from shared.bigtable.client import Bigtable

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract)
    days = options.day_span(day, first, last)
    target = destination(into)
    target.check()
    exported: list[ExportedDay] = []

    async def run() -> None:
        bigtable = Bigtable(settings)
        try:
            with _progress_bar() as progress:
                for table in tables:
                    days_of_table = day_table(table, bigtable, loaded)
                    exporter = Exporter(table, days_of_table, target, force=force)
                    async for outcome in exporter.export(days, partial(progress, table)):
                        exported.append(outcome)
                        if not as_json:
                            click.echo(_line(outcome))
        finally:
            await bigtable.close()

    asyncio.run(run())
    if as_json:
        options.print_json(exported)


@contextmanager
def _progress_bar() -> Iterator[Callable[[str, date, int], None]]:
    """Show a progress bar on standard error; yield the function that updates it."""
    from rich.console import Console

    from infra.batch.progress import Bar

    with Bar(Console(stderr=True), "exporting", None) as bar:
        current: tuple[str, date] | None = None

        def update(table: str, day: date, rows: int) -> None:
            nonlocal current
            if current != (table, day):
                current = table, day
                bar.begin(f"{table} of {day}", None)
            bar.update(rows, rows, rows=rows)

        yield update


def _line(exported: ExportedDay) -> str:
    day = f"{exported.table} of {exported.day}"
    if exported.status == "not_computed":
        return f"{day}: not computed"
    partial_day = "" if exported.complete else ", partial"
    size = f"{exported.rows:,} rows, {exported.bytes:,} bytes{partial_day}"
    return f"{day}: unchanged, {size}" if exported.status == "unchanged" else f"{day}: {size} → {exported.file}"


COMMANDS = (export,)
