"""Commands that read the tables: events, aggregates, top, rejected."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from infra.batch.report import printable
from infra.cli import options
from shared.config import Settings, contract_path
from shared.contracts.loader import load_contract
from shared.validation.results import Rule

if TYPE_CHECKING:
    from shared.bigtable_client import BigTableClient  # a second of imports, which `--help` needn't wait for


_PATIENCE = 10.0  # seconds that a person waits for a server that doesn't answer; functions wait longer


def _client(project_id: str | None, instance_id: str | None, contract: Path | None) -> BigTableClient:
    from shared.bigtable_client import BigTableClient

    settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=contract)
    return BigTableClient(settings=replace(settings, store_deadline=_PATIENCE))


@click.command()
@click.argument("user")
@click.option("--start", type=options.Moment(), help="Of the first moment wanted. [as far back as it takes]")
@click.option("--end", type=options.Moment(), help="Of the first moment not wanted any more. [now]")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Events at most.")
@options.contract
@options.instance
@options.as_json
def events(
    user: str,
    start: datetime | None,
    end: datetime | None,
    limit: int,
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Show a user's events, newest first.

    Example: sluice events user_0007 --start 2024-01-15 --limit 5
    """
    if start and end and end < start:
        raise click.UsageError(f"found --end {end} before --start {start}, expected it after")
    with _client(project_id, instance_id, contract) as client:
        found = client.get_user_events(user, start, end, limit)
    if as_json:
        options.print_json(found)
        return
    for event in found:
        click.echo(msgspec.json.encode(event))
    if not found:
        since = f"since {start:%Y-%m-%d %H:%M}" if start else "in the time that is looked back; name an earlier --start"
        click.echo(f"no events of {user!r} {since}", err=True)


@click.command()
@click.argument("dimension")
@click.argument("value")
@click.option("--date", "day", type=options.Day(), help="The day. [yesterday, UTC]")
@click.option("--from", "first", type=options.Day(), help="The first of several days.")
@click.option("--to", "last", type=options.Day(), help="The last of several days.")
@options.contract
@options.instance
@options.as_json
def aggregates(
    dimension: str,
    value: str,
    day: date | None,
    first: date | None,
    last: date | None,
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Show the figures of one value of a dimension, day by day.

    Example: sluice aggregates all all --date 2024-01-15
    """
    days = options.day_span(day, first, last)
    with _client(project_id, instance_id, contract) as client:
        found = {each: stats for each in days if (stats := client.get_daily_aggregates(dimension, value, each))}
    if as_json:
        options.print_json({each.isoformat(): stats for each, stats in found.items()})
        return
    for each, stats in found.items():
        click.echo(f"{each}  {_figures(stats)}")
    if not found:
        click.echo(f"no aggregates of {dimension} {value!r} from {days[0]} to {days[-1]}", err=True)


@click.command()
@click.argument("dimension")
@click.argument("measure")
@click.option("--date", "day", type=options.Day(), required=True, help="The day.")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Values at most.")
@options.contract
@options.instance
@options.as_json
def top(
    dimension: str,
    measure: str,
    day: date,
    limit: int,
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Show the values with the highest figures of a measure on a day.

    Example: sluice top song plays --date 2024-01-15
    """
    contracts = load_contract(contract_path(contract))
    with _client(project_id, instance_id, contract) as client:
        found = client.get_top(dimension, measure, day, limit)
    if as_json:
        options.print_json([{"value": value, **stats} for value, stats in found])
        return
    for value, stats in found:
        click.echo(f"{stats[measure]:>12,}  {printable(value)}")
    if not found:
        known = {each.dimension: [measure.name for measure in each.measures] for each in contracts.aggregates}
        choices = (
            f"the measures of {dimension}: {', '.join(known[dimension])}"
            if dimension in known
            else (f"the contract's dimensions: {', '.join(known)}")
        )
        click.echo(f"no figures of {measure!r} for {dimension!r} on {day}; {choices}", err=True)


@click.command()
@click.option("--date", "day", type=options.Day(), help="The day they were published first. [today, UTC]")
@click.option("--rule", type=click.Choice(get_args(Rule)), help="Only those that broke this rule.")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Events at most.")
@options.instance
@options.as_json
def rejected(
    day: date | None, rule: str | None, limit: int, project_id: str | None, instance_id: str | None, as_json: bool
) -> None:
    """Show events that failed a check, with everything that is wrong with them.

    Example: sluice rejected --date today --rule range
    """
    from shared.bigtable.client import Bigtable
    from shared.tables.rejected import RejectedEvent, RejectedTable

    settings = Settings.from_environment(project_id=project_id, instance_id=instance_id)
    settings = replace(settings, store_deadline=_PATIENCE)
    asked = day or datetime.now(UTC).date()

    async def read() -> list[RejectedEvent]:
        bigtable = Bigtable(settings)
        found: list[RejectedEvent] = []
        try:
            if limit:
                async for event in RejectedTable(bigtable).of_day(asked, rule=rule):
                    found.append(event)
                    if len(found) == limit:
                        break
        finally:
            await bigtable.close()
        return found

    found = asyncio.run(read())
    if as_json:
        options.print_json([_plain(event) for event in found])
        return
    for event in found:
        click.echo(f"{event.source}  {printable(event.raw[:200].decode('utf-8', 'backslashreplace'))}")
        for finding in event.findings:
            where = f"{finding.field}: " if finding.field else ""
            click.echo(f"    {finding.rule:<14} {where}found {finding.found}, expected {finding.expected}")
    if not found:
        click.echo(f"nothing rejected of what was published on {asked}" + (f" by {rule}" if rule else ""), err=True)


def _plain(event: Any) -> dict[str, Any]:
    return {
        "source": event.source,
        "published": event.published,
        "rules": event.rules,
        "findings": msgspec.to_builtins(event.findings),
        "raw": event.raw.decode("utf-8", "backslashreplace"),
    }


def _figures(stats: dict[str, Any]) -> str:
    return "  ".join(f"{name} {figure}" for name, figure in sorted(stats.items()))


COMMANDS = (events, aggregates, top, rejected)
