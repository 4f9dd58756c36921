"""The command `loads`, which shows the loads of objects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from infra.batch.report import printable
from infra.cli import options
from shared.config import Settings

if TYPE_CHECKING:
    from shared.tables.loads import LoadState


@click.command()
@click.option("--unfinished", is_flag=True, help="Only the loads that aren't finished, or that have failed.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Maximum number of loads.")
@options.instance
@options.as_json
def loads(
    unfinished: bool, limit: int, name: str | None, project_id: str | None, instance_id: str | None, as_json: bool
) -> None:
    """Show the objects that `load` has loaded or is loading, the latest first, with the progress of each.

    Example: sluice loads --unfinished
    """
    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id)
    found = [each for each in asyncio.run(_read(settings)) if not (unfinished and each.finished)][:limit]
    if as_json:
        options.print_json([_as_json(each) for each in found])
        return
    for each in found:
        click.echo(_line(each))
    for hint in _hints(found):
        click.echo(hint, err=True)
    if not found:
        click.echo("no loads" + (" that aren't finished" if unfinished else ""), err=True)


async def _read(settings: Settings) -> list[LoadState]:
    """Return all loads, the latest first. Their rows have no order, and there is one for each file."""
    from shared.bigtable.client import Bigtable
    from shared.tables.loads import LoadsTable

    async with Bigtable(settings) as bigtable:
        states = [state async for state in LoadsTable(bigtable).all()]
    return sorted(states, key=lambda state: state.load.started, reverse=True)


def _status(state: LoadState) -> str:
    return "failed" if state.error else "finished" if state.finished else "loading"


def _line(state: LoadState) -> str:
    load, total = state.load, state.progress()
    parts = [f"{total.stored:,} stored", f"{total.rejected:,} rejected"]
    if total.unreadable:
        parts.append(f"{total.unreadable:,} unreadable")
    if len(load.starts) > 1:
        parts.append(f"{len(state.done):,} of {len(load.starts):,} ranges")
    details = [state.error] if state.error else total.problems
    lines = [f"{load.started:%Y-%m-%d %H:%M:%S}  {_status(state):<9} {load.object.uri}  {', '.join(parts)}"]
    return "\n".join(map(printable, [*lines, *(f"  {each}" for each in details)]))


def _hints(states: list[LoadState]) -> Iterator[str]:
    """Yield what to do about failed loads, and about loads that make no progress."""
    statuses = set(map(_status, states))
    if "failed" in statuses:
        yield (
            "no request repeats a failed load: upload the object again, or copy it to another name, as with "
            "`gcloud storage cp gs://BUCKET/NAME gs://BUCKET/NEW_NAME`"
        )
    if "loading" in statuses:
        yield "if a load makes no progress, `sluice replay loads --dry-run` shows whether its requests are dead letters"


def _as_json(state: LoadState) -> dict[str, Any]:
    load, total = state.load, state.progress()
    return {
        "object": load.object.uri,
        "generation": load.object.generation,
        "status": _status(state),
        "error": state.error,
        "bytes": load.size,
        "created": load.created,
        "started": load.started,
        "updated": total.updated,
        "layout": load.layout,
        "ranges": len(load.starts),
        "ranges_done": len(state.done),
        "stored": total.stored,
        "rejected": total.rejected,
        "unreadable": total.unreadable,
        "problems": total.problems,
    }


COMMANDS = (loads,)
