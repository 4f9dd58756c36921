"""Commands that compute daily aggregates: `aggregate` in this process, `trigger aggregate` in the deployed function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec.structs import replace

from infra.batch.report import partial_text
from infra.cli import options
from shared.config import Settings
from shared.contracts.loader import load_contract

if TYPE_CHECKING:
    from infra.beam.runners import Runner
    from shared.aggregate.pipeline import Summary
    from shared.contracts.model import Contract


@click.group()
def trigger() -> None:
    """Start scheduled work now."""


@trigger.command("aggregate")
@options.days("the days that are due")
@options.project
@options.region
@options.as_json
def trigger_aggregate(
    day: date | None,
    first: date | None,
    last: date | None,
    name: str | None,
    project_id: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Run the daily job now, or request single days; the function `aggregate` computes them.

    Without a date, the job requests the days that are due: yesterday, days with late events, and missed days.

    Example: sluice trigger aggregate --from 2024-01-15 --to 2024-01-17
    """
    from infra.provision.scheduler_client import JOB, TOPIC, run_job
    from shared.aggregate.fan_out import request_days

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id="unused")
    settings = replace(settings, region=region or settings.region)
    settings.emulated("pubsub", "scheduler")
    job, topic = settings.resource(JOB), settings.resource(TOPIC)
    if day is first is last is None:
        published = run_job(settings)
        if as_json:
            options.print_json({"job": job, "published": published})
        else:
            result = f"it has published its request to {topic}" if published else "its result is not known yet"
            click.echo(f"job {job} was run: {result}, for yesterday, late days and missed days")
        return
    days = options.day_span(day, first, last)
    asyncio.run(request_days(settings, days))
    if as_json:
        options.print_json({"topic": topic, "days": days})
    elif len(days) == 1:
        click.echo(f"{days[0]} was requested by a message to {topic}")
    else:
        click.echo(f"{days[0]} to {days[-1]} were requested by {len(days)} messages to {topic}")


@click.command()
@options.days("yesterday")
@options.contract
@options.instance
@options.beam
@options.as_json
def aggregate(
    day: date | None,
    first: date | None,
    last: date | None,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    runner: Runner | None,
    as_json: bool,
) -> None:
    """Compute the aggregates of days now, with the same code as the function.

    Example: sluice aggregate --date 2024-01-15
    """
    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract)
    days = options.day_span(day, first, last)
    report = (lambda _summary: None) if as_json else _print_summary
    if runner is None:
        summaries = _aggregate_here(settings, loaded, days, report)
    else:
        summaries = _aggregate_on_beam(settings, days, runner, report)
    if as_json:
        options.print_json(summaries)


def _aggregate_here(
    settings: Settings, contract: Contract, days: list[date], report: Callable[[Summary], None]
) -> list[Summary]:
    """Compute days one after the other in this process."""
    from shared.aggregate.pipeline import AggregatePipeline
    from shared.bigtable.client import Bigtable

    async def run() -> list[Summary]:
        async with Bigtable(settings) as bigtable:
            pipeline = AggregatePipeline(bigtable, contract, report=report, cpu=settings.cpu)
            return [await pipeline.run(each) for each in days]

    return asyncio.run(run())


def _aggregate_on_beam(
    settings: Settings, days: list[date], runner: Runner, report: Callable[[Summary], None]
) -> list[Summary]:
    """Compute days in one job of Beam."""
    from infra.beam.driver_process import results
    from shared.aggregate.pipeline import Summary

    summaries = []
    flags = [f"--days={','.join(map(str, days))}", *runner.flags(settings, f"aggregate-{days[0]}-{days[-1]}")]
    for result in results("aggregate", flags, settings):
        summaries.append(msgspec.convert(result, Summary))
        report(summaries[-1])
    return summaries


def _print_summary(summary: Summary) -> None:
    repeated = f" ({summary.repeated:,} repeated ids left out)" if summary.repeated else ""
    click.echo(f"{summary.day}: {summary.events:,} events{repeated} → {summary.rows:,} rows")
    if not summary.complete:
        click.echo(f"{summary.day} is {partial_text(summary.day, summary.horizon)}", err=True)
    if summary.large_rows:
        from shared.tables.events import LARGE_ROW_BYTES

        text = f"{summary.large_rows:,} rows of events exceed {LARGE_ROW_BYTES // 10**6} MB; see docs/scale.md"
        click.echo(f"warning: {text}", err=True)
    if summary.too_many_rejected:
        share = f"{summary.rejected:,} rejected, {summary.share_rejected:.0%} of the events published that day"
        click.echo(f"warning: {share}; see `sluice rejected --date {summary.day}`", err=True)


COMMANDS = (aggregate, trigger)
