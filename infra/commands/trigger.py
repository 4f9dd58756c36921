"""The command that has the pipeline compute days now, the way the schedule does: trigger aggregate."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import date

import click

from infra.commands import options
from shared.config import Settings
from shared.errors import SettingsError

_MESSAGES_A_CALL = 1_000


@click.group()
def trigger() -> None:
    """Have scheduled work done now."""


@trigger.command()
@click.option("--date", "day", type=options.Day(), help="The day to compute. [what is due]")
@click.option("--from", "first", type=options.Day(), help="The first of several days.")
@click.option("--to", "last", type=options.Day(), help="The last of several days.")
@click.option("--project-id", help="Google Cloud project. [$GCP_PROJECT_ID]")
@options.region
@options.as_json
def aggregate(
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
    from infra.scheduling import JOB, TOPIC, run_job

    settings = Settings.from_environment(project_id=project_id, instance_id="unused")
    settings = replace(settings, region=region or settings.region)
    if bool(settings.pubsub_emulator) != bool(settings.scheduler_emulator):
        raise SettingsError(
            "found one of PUBSUB_EMULATOR_HOST and CLOUD_SCHEDULER_EMULATOR_HOST, expected both for emulators or none "
            "for Google Cloud"
        )
    if day is first is last is None:
        published = run_job(settings)
        if as_json:
            options.print_json({"job": JOB, "published": published})
        else:
            heard = f"it has published its request to {TOPIC}" if published else "it hasn't told how that went yet"
            click.echo(f"job {JOB} was run: {heard}, for yesterday, late days and missed days")
        return
    days = options.day_span(day, first, last)
    asyncio.run(_request(settings, TOPIC, days))
    if as_json:
        options.print_json({"topic": TOPIC, "days": days})
    elif len(days) == 1:
        click.echo(f"{days[0]} was requested by a message to {TOPIC}")
    else:
        click.echo(f"{days[0]} to {days[-1]} were requested by {len(days)} messages to {TOPIC}")


async def _request(settings: Settings, topic: str, days: list[date]) -> None:
    """Publish a message for each day: an event function has 540 s, which is enough for one of them."""
    from google.pubsub_v1.types import PubsubMessage

    from infra.publishing import Publisher

    messages = [PubsubMessage(data=json.dumps({"date": f"{day}"}).encode()) for day in days]
    async with Publisher(settings) as publisher:
        for start in range(0, len(messages), _MESSAGES_A_CALL):
            await publisher.publish(topic, messages[start : start + _MESSAGES_A_CALL])


COMMANDS = (trigger,)
