"""Commands that take data out: `export` to Parquet files, `sql` for queries."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from infra.cli import options
from shared.config import Settings, contract_path
from shared.contracts.loader import load_contract

if TYPE_CHECKING:
    from infra.export.day_tables.tables import TableName
    from infra.export.exporter import ExportedDay
    from infra.export.sql.results import Result

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
        async with Bigtable(settings) as bigtable:
            with _progress_bar() as progress:
                for table in tables:
                    days_of_table = day_table(table, bigtable, loaded)
                    exporter = Exporter(table, days_of_table, target, force=force)
                    async for outcome in exporter.export(days, partial(progress, table)):
                        exported.append(outcome)
                        if not as_json:
                            click.echo(_line(outcome))

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


@click.command()
@click.argument("query")
@options.days("yesterday; all exported days with --source")
@click.option("--source", type=click.Path(path_type=Path), help="Read an export in this folder instead of Bigtable.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows of the printed table.")
@click.option("--memory", type=click.IntRange(min=64), default=512, show_default=True, help="MiB that DuckDB may use.")
@options.contract
@options.instance
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def sql(
    query: str,
    day: date | None,
    first: date | None,
    last: date | None,
    source: Path | None,
    limit: int,
    memory: int,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Run a query of SQL over the tables events, rejected and aggregates, without a server.

    Example: sluice sql "select event_type, count(*) from events group by all" --date 2024-01-15
    """
    from infra.export.packages import require

    require("duckdb", "pyarrow")
    from infra.export.sql.exported import exported_tables
    from infra.export.sql.session import session
    from infra.export.sql.streams import streamed_tables
    from infra.export.sql.views import dimension_views

    if as_json and as_csv:
        raise click.UsageError("found --json with --csv, expected one or the other")
    loaded = load_contract(contract_path(contract))
    no_days = day is first is last is None
    days = [] if source and no_days else options.day_span(day, first, last)
    with ExitStack() as stack:
        if source is None:
            settings = Settings.from_environment(
                name=name, project_id=project_id, instance_id=instance_id, contract=contract
            )
            settings = replace(settings, store_deadline=options.DEADLINE)
            tables: Mapping[str, Any] = stack.enter_context(streamed_tables(settings, loaded, days))
        else:
            tables = exported_tables(source, days or None)
        opened = stack.enter_context(session(tables, dimension_views(loaded), memory))
        _print_result(opened.result(query), limit, as_json=as_json, as_csv=as_csv)


def _print_result(result: Result, limit: int, *, as_json: bool, as_csv: bool) -> None:
    from infra.export.sql.results import table_of, write_csv, write_json

    if as_json:
        write_json(result, click.echo)
    elif as_csv:
        write_csv(result, sys.stdout)
    else:
        table, has_more = table_of(result, limit)
        options.console().print(table)
        if has_more:
            click.echo(f"the first {limit:,} rows; --limit, --json or --csv shows more", err=True)


COMMANDS = (export, sql)
