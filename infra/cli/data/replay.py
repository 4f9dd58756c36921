"""The commands `replay rejected` and `replay dead-letters`, and the group of `replay loads`."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from infra.cli import options, param_types
from infra.cli.data.replay_loads import replay_loads
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.validation.results import Rule

if TYPE_CHECKING:
    from infra.batch.replay import Replay

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Count the events without changing anything.")
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace stored events that have another body, too.")


@click.group()
def replay() -> None:
    """Process rejected events, dead letters or requests of `load` again.

    Example: sluice replay rejected --rule one_of --dry-run
    """


@replay.command()
@click.option("--date", "day", type=param_types.Day(), help="Only events first published on this day. [all days]")
@click.option("--rule", type=click.Choice(get_args(Rule)), help="Only events that broke this rule.")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of events.")
@options.contract
@options.instance
@_DRY_RUN
@_OVERWRITE
@options.as_json
def rejected(
    day: date | None,
    rule: str | None,
    limit: int | None,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    dry_run: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Publish the rejected events that pass the contract now, and delete them from `rejected` once they are stored.

    Example: sluice replay rejected --date 2024-01-15 --contract corrected.toml
    """
    from infra.batch.replay import replay_rejected
    from shared.bigtable.client import Bigtable
    from shared.pubsub.publisher import Publisher

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract, settings.mask_key)

    async def run() -> Replay:
        async with Bigtable(settings) as bigtable, Publisher(settings) as publisher:
            return await replay_rejected(
                bigtable,
                publisher,
                loaded,
                day=day,
                rule=rule,
                limit=limit,
                dry_run=dry_run,
                overwrite=overwrite,
            )

    _print_replay(asyncio.run(run()), "rejected events", dry_run=dry_run, as_json=as_json)


@replay.command("dead-letters")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of messages.")
@options.contract
@options.instance
@_DRY_RUN
@_OVERWRITE
@options.as_json
def dead_letters(
    limit: int | None,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    dry_run: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Publish the messages of the dead-letter topic of events again.

    Example: sluice replay dead-letters --dry-run
    """
    from infra.batch.dead_letters.events import replay_dead_letters
    from infra.batch.subscriber import Subscriber
    from shared.bigtable.client import Bigtable
    from shared.pubsub.publisher import Publisher

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract, settings.mask_key)
    kept = settings.resource("events-dead-letter-keep")

    async def run() -> Replay:
        async with (
            Bigtable(settings) as bigtable,
            Publisher(settings) as publisher,
            Subscriber(settings, kept) as subscriber,
        ):
            return await replay_dead_letters(
                subscriber, publisher, bigtable, loaded, limit=limit, dry_run=dry_run, overwrite=overwrite
            )

    _print_replay(asyncio.run(run()), "dead letters", dry_run=dry_run, as_json=as_json)


def _print_replay(replay: Replay, what: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        options.print_json(
            {
                "looked_at": replay.looked_at,
                "passing": replay.passing,
                "failing": dict(replay.failing),
                "published_messages": replay.published,
                "stored": replay.stored,
                "waiting": replay.waiting,
                "left_alone": replay.left_alone,
                "too_large": replay.too_large,
            }
        )
        return
    for line, is_problem in replay.lines(what, dry_run=dry_run):
        click.echo(line, err=is_problem)


replay.add_command(replay_loads)

COMMANDS = (replay,)
