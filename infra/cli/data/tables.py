"""Commands that read the tables: events, aggregates, top, rejected, console."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec
from msgspec.structs import replace

from infra.batch.report import partial_text, printable
from infra.cli import options, param_types
from shared.config import Settings, contract_path
from shared.contracts.loader import load_contract
from shared.validation.results import Rule

if TYPE_CHECKING:
    from shared.aggregate.spans import Span
    from shared.bigtable_client import BigTableClient  # takes a second to import
    from shared.tables.rejected import RejectedEvent
    from shared.tables.state import Run


def _client(name: str | None, project_id: str | None, instance_id: str | None, contract: Path | None) -> BigTableClient:
    from shared.bigtable_client import BigTableClient

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    return BigTableClient(settings=replace(settings, store_deadline=options.DEADLINE))


@click.command()
@click.argument("user")
@click.option(
    "--start", type=param_types.Moment(), help="Start of the range (inclusive). [the lookback of the settings]"
)
@click.option("--end", type=param_types.Moment(), help="End of the range (exclusive). [now]")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Maximum number of events.")
@options.contract
@options.instance
@options.as_json
def events(
    user: str,
    start: datetime | None,
    end: datetime | None,
    limit: int,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Show the events of a user, newest first.

    Example: sluice events user_0007 --start 2024-01-15 --limit 5
    """
    if start and end and end < start:
        raise click.UsageError(f"found --end {end} before --start {start}, expected it after")
    with _client(name, project_id, instance_id, contract) as client:
        found = client.get_user_events(user, start, end, limit)
    if as_json:
        options.print_json(found)
        return
    for event in found:
        click.echo(msgspec.json.encode(event))
    if not found:
        since = f"since {start:%Y-%m-%d %H:%M}" if start else "within the lookback; set an earlier --start"
        click.echo(f"no events of {user!r} {since}", err=True)


@click.command()
@click.argument("dimension")
@click.argument("value")
@options.days("yesterday")
@click.option("--week", type=param_types.Week(), help="The days of an ISO week as a whole, such as 2024-W03.")
@click.option("--month", type=param_types.Month(), help="The days of a month as a whole, such as 2024-01.")
@click.option("--merge", is_flag=True, help="The days of the range as a whole.")
@options.contract
@options.instance
@options.as_json
def aggregates(
    dimension: str,
    value: str,
    day: date | None,
    first: date | None,
    last: date | None,
    week: tuple[date, date] | None,
    month: tuple[date, date] | None,
    merge: bool,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Show the measures of one value of a dimension: of each day, or of a range of days as a whole.

    Example: sluice aggregates all all --month 2024-01
    """
    if span := week or month:
        if sum(map(bool, (week, month, day, first or last))) > 1:
            raise click.UsageError(
                "found several ranges of days, expected one of --date, --from and --to, --week, --month"
            )
        merge, (first, last) = True, span
    days = options.day_span(day, first, last)
    if merge:
        with _client(name, project_id, instance_id, contract) as client:
            _show_span(client.get_merged_aggregates(dimension, value, days[0], days[-1]), dimension, value, as_json)
        return
    with _client(name, project_id, instance_id, contract) as client:
        runs = client.get_runs(days[0], days[-1])  # first, so that the measures are at least as new
        found = {each: measures for each in days if (measures := client.get_daily_aggregates(dimension, value, each))}
    _warn_of_partial_days(runs, found)
    if as_json:
        options.print_json({each.isoformat(): measures for each, measures in found.items()})
        return
    for each, measures in found.items():
        click.echo(f"{each}  " + "  ".join(f"{name} {amount}" for name, amount in sorted(measures.items())))
    if not found:
        click.echo(f"no aggregates of {dimension} {value!r} from {days[0]} to {days[-1]}", err=True)


def _warn_of_partial_days(runs: Mapping[date, Run], days: Iterable[date]) -> None:
    for day in days:
        if day in runs and (until := runs[day].partial_until(day)):
            click.echo(f"{day} is {partial_text(day, until)}", err=True)


def _show_span(span: Span, dimension: str, value: str, as_json: bool) -> None:
    for day, until in span.partial.items():
        click.echo(f"{day} is {partial_text(day, until)}", err=True)
    if as_json:
        options.print_json(span)
        return
    if span.measures:
        measures = "  ".join(f"{name} {amount}" for name, amount in sorted(span.measures.items()))
        click.echo(f"{span.first} to {span.last}  {measures}")
    else:
        click.echo(f"no aggregates of {dimension} {value!r} from {span.first} to {span.last}", err=True)
    for measure, reason in sorted(span.unmerged.items()):
        click.echo(f"{measure} can't be merged: {reason}", err=True)
    if span.not_computed:
        first, *others = span.not_computed
        click.echo(f"{first}{f' and {len(others)} more days' if others else ''} not computed", err=True)


@click.command()
@click.argument("dimension")
@click.argument("measure")
@click.option("--date", "day", type=param_types.Day(), required=True, help="The day.")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Maximum number of values.")
@options.contract
@options.instance
@options.as_json
def top(
    dimension: str,
    measure: str,
    day: date,
    limit: int,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Show the values of a dimension with the highest measure on a day.

    Example: sluice top song plays --date 2024-01-15
    """
    loaded = load_contract(contract_path(contract))
    with _client(name, project_id, instance_id, contract) as client:
        runs = client.get_runs(day, day)
        found = client.get_top(dimension, measure, day, limit)
    _warn_of_partial_days(runs, runs)
    if as_json:
        options.print_json([{"value": value, **measures} for value, measures in found])
        return
    for value, measures in found:
        click.echo(f"{measures[measure]:>12,}  {printable(value)}")
    if not found:
        known = {each.dimension: [measure.name for measure in each.measures] for each in loaded.aggregates}
        choices = (
            f"the measures of {dimension}: {', '.join(known[dimension])}"
            if dimension in known
            else f"the contract's dimensions: {', '.join(known)}"
        )
        click.echo(f"no values of {measure!r} for {dimension!r} on {day}; {choices}", err=True)


@click.command()
@click.option("--date", "day", type=param_types.Day(), help="The day of first publication. [today]")
@click.option("--rule", type=click.Choice(get_args(Rule)), help="Only events that broke this rule.")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Maximum number of events.")
@options.instance
@options.as_json
def rejected(
    day: date | None,
    rule: str | None,
    limit: int,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Show rejected events with all their findings.

    Example: sluice rejected --date today --rule range
    """
    from shared.bigtable.client import Bigtable
    from shared.tables.rejected import RejectedTable

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id)
    settings = replace(settings, store_deadline=options.DEADLINE)
    published_on = day or datetime.now(UTC).date()

    async def read() -> list[RejectedEvent]:
        found: list[RejectedEvent] = []
        async with Bigtable(settings) as bigtable:
            if limit:
                async for event in RejectedTable(bigtable).of_day(published_on, rule=rule):
                    found.append(event)
                    if len(found) == limit:
                        break
        return found

    found = asyncio.run(read())
    if as_json:
        options.print_json([_event_as_json(event) for event in found])
        return
    for event in found:
        click.echo(f"{event.source}  {printable(event.raw[:200].decode('utf-8', 'backslashreplace'))}")
        for finding in event.findings:
            field = f"{finding.field}: " if finding.field else ""
            click.echo(f"    {finding.rule:<14} {field}found {finding.found}, expected {finding.expected}")
    if not found:
        broken_rule = f" that broke {rule}" if rule else ""
        click.echo(f"no rejected events{broken_rule} that were first published on {published_on}", err=True)


def _event_as_json(event: RejectedEvent) -> dict[str, Any]:
    return {
        "source": event.source,
        "published": event.published,
        "rules": event.rules,
        "findings": msgspec.to_builtins(event.findings),
        "raw": event.raw.decode("utf-8", "backslashreplace"),
    }


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8087, show_default=True, help="Port; 0 for a free one.")
@options.allow_changes
@options.contract
@options.instance
def console(
    port: int,
    allow_changes: bool,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
) -> None:
    """Show the tables in the browser of this machine until Ctrl-C.

    Example: sluice console --port 8088
    """
    from infra.console.server import serve

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    serve(settings, port, click.echo, allow_changes=allow_changes)


COMMANDS = (events, aggregates, top, rejected, console)
