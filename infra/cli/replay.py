"""Commands that put events back: replay rejected, replay dead-letters."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from infra.cli import options
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.validation.results import Rule

if TYPE_CHECKING:
    from infra.batch.replay import Replay

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would happen.")


@click.group()
def replay() -> None:
    """Put back what was rejected, or given up after too many deliveries.

    Example: sluice replay rejected --rule one_of --dry-run
    """


@replay.command()
@click.option("--date", "day", type=options.Day(), help="The day they were published first. [all days]")
@click.option("--rule", type=click.Choice(get_args(Rule)), help="Only those that broke this rule.")
@click.option("--limit", type=click.IntRange(min=1), help="Events at most.")
@options.contract
@options.instance
@_DRY_RUN
@options.as_json
def rejected(
    day: date | None,
    rule: str | None,
    limit: int | None,
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish rejected events again that pass the contract now, and remove from quarantine those that are stored.

    Example: sluice replay rejected --date 2024-01-15 --contract mended.toml
    """
    from infra.batch.replay import replay_rejected
    from shared.bigtable.client import Bigtable
    from shared.pubsub.publisher import Publisher

    settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract)

    async def work() -> Replay:
        bigtable = Bigtable(settings)
        try:
            async with Publisher(settings) as publisher:
                return await replay_rejected(
                    bigtable, publisher, loaded, day=day, rule=rule, limit=limit, dry_run=dry_run
                )
        finally:
            await bigtable.close()

    _tell(asyncio.run(work()), "rejected events", dry_run=dry_run, as_json=as_json)


@replay.command("dead-letters")
@click.option("--limit", type=click.IntRange(min=1), help="Messages at most.")
@options.contract
@click.option("--project-id", help="Google Cloud project. [$GCP_PROJECT_ID]")
@_DRY_RUN
@options.as_json
def dead_letters(
    limit: int | None, contract: Path | None, project_id: str | None, dry_run: bool, as_json: bool
) -> None:
    """Publish messages again that Pub/Sub has given up on.

    Example: sluice replay dead-letters --dry-run
    """
    from infra.batch.replay import replay_dead_letters
    from infra.batch.subscriber import Subscriber
    from shared.pubsub.publisher import Publisher

    settings = Settings.from_environment(project_id=project_id, instance_id="unused", contract=contract)
    loaded = load_contract(settings.contract)

    async def work() -> Replay:
        async with Publisher(settings) as publisher, Subscriber(settings, "events-dead-letter-keep") as subscriber:
            return await replay_dead_letters(subscriber, publisher, loaded, limit=limit, dry_run=dry_run)

    _tell(asyncio.run(work()), "dead letters", dry_run=dry_run, as_json=as_json)


def _tell(replay: Replay, what: str, *, dry_run: bool, as_json: bool) -> None:
    figures: dict[str, Any] = {
        "looked_at": replay.looked_at,
        "passing": replay.passing,
        "failing": dict(replay.failing),
        "published_messages": replay.published,
        "stored": replay.stored,
        "waiting": replay.waiting,
    }
    if as_json:
        options.print_json(figures)
        return
    click.echo(f"{replay.looked_at:,} {what} looked at: {replay.passing:,} events pass the contract now")
    for rule, count in replay.failing.most_common():
        click.echo(f"  {count:,} would still break {rule}, and stay")
    if dry_run:
        click.echo("nothing was changed")
        return
    click.echo(f"{replay.published:,} messages published")
    if replay.stored:
        click.echo(f"{replay.stored:,} events are stored and have left quarantine")
    if replay.waiting:
        click.echo(f"{replay.waiting:,} aren't stored yet; run this again to remove those that are by then", err=True)


COMMANDS = (replay,)
