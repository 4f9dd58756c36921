"""Commands that compute days: aggregate here and now, trigger aggregate through the schedule."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path

import click

from infra.cli import options
from shared.config import Settings
from shared.contracts.loader import load_contract


@click.group()
def trigger() -> None:
    """Have scheduled work done now."""


@trigger.command("aggregate")
@click.option("--date", "day", type=options.Day(), help="The day to compute. [what is due]")
@click.option("--from", "first", type=options.Day(), help="The first of several days.")
@click.option("--to", "last", type=options.Day(), help="The last of several days.")
@click.option("--project-id", help="Google Cloud project. [$GCP_PROJECT_ID]")
@options.region
@options.as_json
def trigger_aggregate(
    day: date | None,
    first: date | None,
    last: date | None,
    project_id: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Run the daily job now, or request days by messages of their own; the function `aggregate` computes them.

    Without a date it is what the schedule asks for: yesterday, the days that late events have touched, and the days
    that were missed.

    Example: sluice trigger aggregate --from 2024-01-15 --to 2024-01-17
    """
    from infra.provision.scheduler_client import JOB, TOPIC, run_job
    from shared.aggregate.fan_out import request_days

    settings = Settings.from_environment(project_id=project_id, instance_id="unused")
    settings = replace(settings, region=region or settings.region)
    settings.emulated("pubsub", "scheduler")
    if day is first is last is None:
        published = run_job(settings)
        if as_json:
            options.print_json({"job": JOB, "published": published})
        else:
            heard = f"it has published its request to {TOPIC}" if published else "it hasn't told how that went yet"
            click.echo(f"job {JOB} was run: {heard}, for yesterday, late days and missed days")
        return
    days = options.day_span(day, first, last)
    asyncio.run(request_days(settings, days))
    if as_json:
        options.print_json({"topic": TOPIC, "days": days})
    elif len(days) == 1:
        click.echo(f"{days[0]} was requested by a message to {TOPIC}")
    else:
        click.echo(f"{days[0]} to {days[-1]} were requested by {len(days)} messages to {TOPIC}")


@click.command()
@click.option("--date", "day", type=options.Day(), help="The day to compute. [yesterday, UTC]")
@click.option("--from", "first", type=options.Day(), help="The first of several days.")
@click.option("--to", "last", type=options.Day(), help="The last of several days.")
@options.contract
@options.instance
@options.as_json
def aggregate(
    day: date | None,
    first: date | None,
    last: date | None,
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Compute the measures of days now, as the function does on its schedule.

    Example: sluice aggregate --date 2024-01-15
    """
    from shared.aggregate.pipeline import AggregatePipeline, Summary
    from shared.bigtable.client import Bigtable

    settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract)
    days = options.day_span(day, first, last)

    async def work() -> list[Summary]:
        bigtable = Bigtable(settings)
        try:
            aggregation = AggregatePipeline(bigtable, loaded)
            return [await _told(await aggregation.run(day), quiet=as_json) for day in days]
        finally:
            await bigtable.close()

    async def _told(summary: Summary, *, quiet: bool) -> Summary:
        if not quiet:
            repeated = f" ({summary.repeated:,} repeated ids left out)" if summary.repeated else ""
            click.echo(f"{summary.day}: {summary.events:,} events{repeated} → {summary.rows:,} rows")
            if summary.too_many_rejected:
                share = f"{summary.rejected:,} rejected, {summary.share_rejected:.0%} of what was published that day"
                click.echo(f"warning: {share}; see `sluice rejected --date {summary.day}`", err=True)
        return summary

    summaries = asyncio.run(work())
    if as_json:
        options.print_json(summaries)


COMMANDS = (aggregate, trigger)
