"""The commands `erase`, which removes the data of users from the tables, and `erasures`, which lists earlier ones."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from infra.cli import options
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import PermanentError, SourceError
from shared.timestamps import now

if TYPE_CHECKING:
    from pathlib import Path

    from infra.erase.erasure import Outcome
    from infra.erase.log import Erasure
    from infra.erase.plan import Plan
    from infra.erase.survey import Counts


@click.command()
@click.argument("users", nargs=-1)
@click.option("--users-file", type=click.File("rb"), help="File with further users, one a line; - for standard input.")
@click.option("--yes", is_flag=True, help="Erase. Without it, only show what would be erased.")
@options.contract
@options.instance
@options.as_json
def erase(
    users: tuple[str, ...],
    users_file: BinaryIO | None,
    yes: bool,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> None:
    """Remove everything of users from the tables, compute their days again, and prove that nothing is left.

    A user is the text of the contract's user field as it is stored. Repeat an interrupted erasure to go on.

    Example: sluice erase user_0007 --yes
    """
    from infra.erase.erasure import Eraser
    from infra.erase.plan import first_whole_day, make_plan
    from infra.erase.unreached import copies, loaded_buckets
    from infra.erase.users import Users
    from shared.bigtable.client import Bigtable

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract, settings.mask_key)
    erased = Users(loaded, [*users, *(_lines(users_file) if users_file else ())])
    since = first_whole_day(settings)

    async def run() -> tuple[Plan, Outcome | None, list[str]]:
        async with Bigtable(settings) as bigtable:
            plan = await make_plan(bigtable, loaded, erased, since)
            if not as_json:
                _print_plan(plan, len(erased))
            buckets = await loaded_buckets(bigtable)
            if not yes:
                return plan, None, buckets
            report: Callable[[str], None] = (lambda _line: None) if as_json else click.echo
            eraser = Eraser(bigtable, loaded, cpu=settings.cpu, report=report)
            return plan, await eraser.erase(erased, plan), buckets

    plan, outcome, buckets = asyncio.run(run())
    elsewhere = copies(settings, now(), buckets)
    if as_json:
        unreached = [{"where": each.where, "commands": list(map(shlex.join, each.commands))} for each in elsewhere]
        done = outcome and _outcome_as_json(outcome)
        options.print_json({**_plan_as_json(plan), "erasure": done, "unreached": unreached})
    else:
        _print_outcome(outcome)
        click.echo("not reached:")
        for each in elsewhere:
            click.echo("\n    ".join([f"  {each.where}", *map(shlex.join, each.commands)]))
    if outcome and outcome.left:
        raise PermanentError(f"found {_counts_text(outcome.left)} at the end, expected nothing; erase again")


@click.command()
@options.instance
@options.as_json
def erasures(name: str | None, project_id: str | None, instance_id: str | None, as_json: bool) -> None:
    """List the erasures so far: when, how much and which days. The log has nothing of the users.

    Example: sluice erasures
    """
    from infra.erase.log import ErasureLog
    from shared.bigtable.client import Bigtable

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id)

    async def read() -> list[Erasure]:
        async with Bigtable(settings) as bigtable:
            return await ErasureLog(bigtable).read()

    found = asyncio.run(read())
    if as_json:
        options.print_json(found)
        return
    for each in found:
        click.echo(f"{_moment(each.begun)} {each.id}  {each.users:,} users: {_counts_text(each.counts)}")
        click.echo(f"    {_state_of(each)}; {len(each.days):,} days{_days_text(each.days)}")
    if not found:
        click.echo("no erasures", err=True)


def _lines(file: BinaryIO) -> list[str]:
    """Return the lines of a file that aren't empty, without their ends; a user may begin or end with blanks."""
    try:
        lines = file.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise SourceError(f"{file.name}: byte {error.start} isn't UTF-8; expected one user a line in UTF-8") from None
    return [line for line in (each.removesuffix("\r") for each in lines) if line]


def _print_plan(plan: Plan, users: int) -> None:
    click.echo(f"{users:,} users: {_counts_text(plan.survey.counts)}")
    click.echo(f"{len(plan.computed):,} days to compute again{_days_text(plan.computed)}")
    if plan.expired:
        click.echo(f"{len(plan.expired):,} days keep their measures, since the retention has removed events of them")
    for each in plan.unfinished:
        click.echo(f"erasure {each.id} of {_moment(each.begun)} was interrupted; its days are computed again, too")


def _print_outcome(outcome: Outcome | None) -> None:
    if outcome is None:
        click.echo("nothing was changed; --yes erases")
    elif outcome.erasure.finished:
        click.echo(f"erased, and read that nothing is left: erasure {outcome.erasure.id}")


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "found": plan.survey.counts,
        "days": plan.computed,
        "expired_days": plan.expired,
        "interrupted": [each.id for each in plan.unfinished],
    }


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.erasure.id,
        "finished": outcome.erasure.finished,
        "days": outcome.computed,
        "left": outcome.left,
    }


def _counts_text(counts: Counts) -> str:
    return (
        f"{counts.events:,} events in {counts.rows:,} rows, {counts.findings:,} of them with findings; "
        f"{counts.rejected:,} rejected events; "
        f"{counts.aggregates:,} rows of aggregates, and {counts.cells:,} cells of other rows"
    )


def _days_text(days: Sequence[date]) -> str:
    if not days:
        return ""
    return f": {days[0]}" if len(days) == 1 else f", from {days[0]} to {days[-1]}"


def _state_of(erasure: Erasure) -> str:
    if erasure.finished:
        return f"finished {_moment(erasure.finished)}, nothing was left"
    if erasure.continued_by:
        return f"interrupted; {erasure.continued_by} computed its days again. Repeat it unless that had the same users"
    return "not finished; repeat it with the same users"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


COMMANDS = (erase, erasures)
