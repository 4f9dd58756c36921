"""The command `replay loads`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from infra.batch.report import printable
from infra.cli import options
from shared.config import Settings
from shared.pubsub.load_requests import TOPIC

if TYPE_CHECKING:
    from infra.batch.dead_letters.load_letter import LoadLetter
    from infra.batch.dead_letters.loads import LoadReplay


@click.command("loads")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of messages.")
@options.instance
@click.option("--dry-run", is_flag=True, help="Show the messages without changing anything.")
@options.as_json
def replay_loads(
    limit: int | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish the requests of `load` that became dead letters again; show each object and the state of its load.

    Example: sluice replay loads --dry-run
    """
    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id)
    letters: list[LoadLetter] = []
    counts = asyncio.run(_replay(settings, limit, letters if as_json else None, dry_run=dry_run))
    if as_json:
        options.print_json(
            {
                "looked_at": counts.looked_at,
                "invalid": counts.invalid,
                "published_messages": counts.published,
                "messages": list(map(_as_json, letters)),
            }
        )
        return
    for line, is_problem in counts.lines(dry_run=dry_run):
        click.echo(line, err=is_problem)


async def _replay(
    settings: Settings, limit: int | None, letters: list[LoadLetter] | None, *, dry_run: bool
) -> LoadReplay:
    """Replay, and add each message to a list, or print it without one."""
    from infra.batch.dead_letters.loads import replay_loads
    from infra.batch.subscriber import Subscriber
    from shared.bigtable.client import Bigtable
    from shared.pubsub.publisher import Publisher
    from shared.tables.loads import LoadsTable

    kept = settings.resource(f"{TOPIC}-dead-letter-keep")
    bigtable = Bigtable(settings)
    try:
        async with Publisher(settings) as publisher, Subscriber(settings, kept) as subscriber:
            return await replay_loads(
                subscriber,
                publisher,
                LoadsTable(bigtable),
                settings.resource(TOPIC),
                limit=limit,
                dry_run=dry_run,
                report=_print if letters is None else letters.append,
            )
    finally:
        await bigtable.close()


def _print(letter: LoadLetter) -> None:
    click.echo(printable(letter.line()), err=bool(letter.problem))


def _as_json(letter: LoadLetter) -> dict[str, Any]:
    request = letter.request
    return {
        "message": letter.message_id,
        "bucket": request and request.object.bucket,
        "object": request and request.object.name,
        "generation": request and request.object.generation,
        "start": request and request.start,
        "end": letter.end,
        "status": letter.status,
        "error": letter.problem or (letter.state.error if letter.state else ""),
    }
