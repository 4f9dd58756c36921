"""The commands `contract infer`, `contract schema`, `contract diff` and `contract test`."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import msgspec
from msgspec.structs import replace

from infra.batch.report import printable
from infra.cli import options, param_types
from shared.config import Settings, contract_path, mask_key
from shared.contracts.loader import load_contract
from shared.contracts.source import Format
from shared.errors import SourceError

if TYPE_CHECKING:
    from infra.contracts.stored_events import StoredCheck
    from shared.contracts.model import Contract

_MAX_EVENT_CHARS = 200


@click.group()
def contract() -> None:
    """Infer, describe, compare and test contracts.

    Example: sluice contract infer log.jsonl --output log.toml
    """


@contract.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the contract to a new file.")
@click.option("--name", help="Name of the contract. [that of the file]")
@click.option(
    "--id", "ids", multiple=True, metavar="PATH", help="Path of the event's id; repeat it for several fields."
)
@click.option("--user", metavar="PATH", help="Path of the event's user.")
@click.option("--time", metavar="PATH", help="Path of the event's time.")
@click.option(
    "--records",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="Maximum number of records to read, from the start and from places all over the file.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    default="auto",
    show_default=True,
    help="Format of the file.",
)
def infer(
    file: Path,
    output: Path | None,
    name: str | None,
    ids: tuple[str, ...],
    user: str | None,
    time: str | None,
    records: int,
    form: Format,
) -> None:
    """Write the contract of a file of events, or of standard input (-).

    Comments show what the sample has, and what to check.

    Example: sluice contract infer access.log --output access.toml
    """
    from infra.contracts.inference.infer import Choices, infer_file

    if output is not None and output.exists():
        raise SourceError(f"{output}: found a file, expected a new name; infer overwrites nothing")
    inferred = infer_file(
        None if str(file) == "-" else file, form, most=records, name=name, choices=Choices(ids, user, time)
    )
    if output is None:
        click.echo(inferred.text, nl=False)
    else:
        _write(output, inferred.text)
    shown = inferred.contract
    rejected = f", {inferred.rejected:,} of them rejected" if inferred.rejected else ""
    click.echo(
        f"{inferred.records:,} records read{rejected}: id {', '.join(shown.id) or 'a digest of the record'}, "
        f"user {shown.user}, time {shown.time}",
        err=True,
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise SourceError(f"{path}: can't be written: {error.strerror}") from None


@contract.command()
@options.contract
@click.option("--editor", is_flag=True, help="Describe contract files themselves, for the editor of TOML files.")
@click.option("--strict", is_flag=True, help='Let rules of severity "warn" make an event invalid too.')
def schema(contract: Path | None, editor: bool, strict: bool) -> None:
    """Print a JSON Schema of the received events, for their producers.

    Example: sluice contract schema --contract mine.toml > events.schema.json
    """
    if editor:
        from infra.contracts.editor_schema import editor_schema

        if strict or contract is not None:
            raise click.UsageError("found --editor with --contract or --strict, expected --editor alone")
        options.print_json(editor_schema())
        return
    from infra.contracts.record_schema import record_schema

    options.print_json(record_schema(load_contract(contract_path(contract)), strict=strict))


@contract.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--against", "day", type=param_types.Day(), help="Validate the stored events of a day against AFTER.")
@click.option("--from", "first", type=param_types.Day(), help="First day of a range of stored events.")
@click.option("--to", "last", type=param_types.Day(), help="Last day of a range (inclusive).")
@click.option("--check", is_flag=True, help="Exit with 1 if cell keys move, or if a stored event would be rejected.")
@options.instance
@options.as_json
def diff(
    before: Path,
    after: Path,
    day: date | None,
    first: date | None,
    last: date | None,
    check: bool,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    as_json: bool,
) -> int:
    """Compare two contracts: fields, rules, measures and cell keys.

    Example: sluice contract diff music.toml new.toml --against yesterday
    """
    from infra.contracts.differences import differences, moves_cell_keys

    new = load_contract(after, mask_key())
    found = differences(load_contract(before, mask_key()), new)
    stored: StoredCheck | None = None
    if day or first or last:
        days = options.day_span(day, first, last)
        settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=after)
        stored = _check_stored(settings, new, days)
    if as_json:
        options.print_json({"differences": found, "stored": stored and stored.as_json()})
    else:
        for each in found:
            click.echo(printable(str(each)))
        if not found:
            click.echo("no differences")
        if stored is not None:
            _show_stored(stored)
    failing = moves_cell_keys(found) or (stored is not None and bool(stored.failing or stored.moved))
    return int(check and failing)


def _check_stored(settings: Settings, new: Contract, days: list[date]) -> StoredCheck:
    from infra.contracts.stored_events import check_stored_events
    from shared.bigtable.client import Bigtable

    async def run() -> StoredCheck:
        async with Bigtable(replace(settings, store_deadline=options.DEADLINE)) as bigtable:
            return await check_stored_events(bigtable, new, days)

    return asyncio.run(run())


def _show_stored(stored: StoredCheck) -> None:
    click.echo(
        f"{stored.events:,} stored events: {stored.failing:,} would be rejected, "
        f"{stored.moved:,} would be in other cells"
    )
    for rule, count in stored.rules.most_common():
        click.echo(f"  {rule}: {count:,} events")
        for each in stored.samples[rule]:
            finding = each.finding
            click.echo(printable(f"    {finding.field}: found {finding.found}, expected {finding.expected}"))
            click.echo(printable(f"    {each.event.decode()[:_MAX_EVENT_CHARS]}"))


@contract.command("test")
@options.contract
@click.option("--cases", type=click.Path(path_type=Path), help="File of cases. [that beside the contract]")
@options.as_json
def test_contract(contract: Path | None, cases: Path | None, as_json: bool) -> int:
    """Run the cases of a contract: events, and the verdicts that they must get.

    Example: sluice contract test --contract mine.toml
    """
    from infra.contracts.cases import cases_beside, load_cases, run_cases

    path = contract_path(contract)
    loaded = load_contract(path, mask_key())
    outcomes = run_cases(loaded, load_cases(cases or cases_beside(path)))
    failed = [each for each in outcomes if each.problems]
    if as_json:
        options.print_json([msgspec.to_builtins({"name": each.name, "problems": each.problems}) for each in outcomes])
        return int(bool(failed))
    for outcome in failed:
        click.echo(f"failed: {printable(outcome.name)}")
        for problem in outcome.problems:
            click.echo(f"    {printable(problem)}")
    click.echo(f"{len(outcomes) - len(failed):,} cases passed, {len(failed):,} failed")
    return int(bool(failed))


COMMANDS = (contract,)
