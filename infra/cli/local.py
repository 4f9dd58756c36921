"""Commands that run the pipeline on this machine: run, up, emulators."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli import options
from shared.config import DEFAULT_CONTRACT, contract_path, mask_key
from shared.contracts.loader import load_contract
from shared.errors import StackError

if TYPE_CHECKING:
    from infra.local.emulators import Engine
    from infra.local.stack import ConsoleMode
    from shared.contracts.source import Format

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@options.source(required=False)
@options.contract
@options.engine
@click.option("--report", type=click.Path(path_type=Path), help="Also write the report to this JSON file.")
def run(source: str | None, form: Format, contract: Path | None, engine: Engine, report: Path | None) -> None:
    """Run the whole pipeline once on emulators and show the results.

    Example: sluice run --source data/sample_events.csv --report report.json
    """
    from rich.console import Console

    from infra.batch.progress import Bar
    from infra.local.end_to_end import run_end_to_end

    loaded = load_contract(contract_path(contract), mask_key())
    loaded.require_mask_key()
    reader = options.open_source(source or str(ROOT / "data"), form, loaded)
    options.check_writable(report)
    console = options.console()
    with Bar(Console(stderr=True), "starting", None) as bar:
        run_end_to_end(reader, loaded, console, bar, report, engine)


def _port(part: str, help_text: str) -> Callable[[Any], Any]:
    return click.option(f"--{part}-port", type=click.IntRange(1, 65535), help=f"{help_text} [any free port]")


@click.command()
@options.contract
@options.engine
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps all data of the embedded emulators across restarts. [in memory]",
)
@_port("emulators", "Port of the embedded emulators.")
@_port("bigtable", "Port of Google's Bigtable emulator.")
@_port("pubsub", "Port of Google's Pub/Sub emulator.")
@_port("scheduler", "Port of the scheduler beside Google's emulators.")
@_port("ingest", "Port of the function `ingest`.")
@_port("aggregate", "Port of the function `aggregate`.")
@_port("query", "Port of the function `query`, the read API.")
@_port("console", "Port of the console in the browser.")
@click.option(
    "--bucket",
    default="",
    metavar="NAME",
    help="Also emulate Cloud Storage with this bucket, whose objects the function `load` loads.",
)
@_port("load", "Port of the function `load`.")
@_port("storage", "Port of the emulator of Cloud Storage.")
@options.intraday_minutes
@options.allow_changes
def up(
    contract: Path | None,
    engine: Engine,
    data: Path | None,
    intraday_minutes: int,
    allow_changes: bool,
    bucket: str,
    **ports: int | None,
) -> None:
    """Run the local stack until Ctrl-C: emulators, the functions, the delivery between them, and the console.

    Example: sluice up --data my-data --emulators-port 8086
    """
    from infra.cli.live_stats import show_live_stats
    from infra.local.emulators import ENGINES, PORTS
    from infra.local.stack import Stack
    from infra.provision.resources import FUNCTIONS

    chosen = contract_path(contract)
    load_contract(chosen, mask_key()).require_mask_key()
    required = {name.removesuffix("_port"): port for name, port in ports.items() if port}
    for other in ENGINES:
        if other != engine and (wrong := [part for part in PORTS[other] if part in required]):
            raise click.UsageError(f"found --{wrong[0]}-port with --emulators {engine}, expected --emulators {other}")
    if data and engine != "embedded":
        raise click.UsageError(f"found --data with --emulators {engine}, which keeps no data, expected embedded")
    if not bucket and (wrong := [part for part in ("load", "storage") if part in required]):
        raise click.UsageError(f"found --{wrong[0]}-port without --bucket, expected a bucket, too")
    console: ConsoleMode = "changes allowed" if allow_changes else "read-only"
    with Stack(
        contract=chosen,
        ports=required,
        functions=FUNCTIONS,
        engine=engine,
        data=data,
        console=console,
        intraday_minutes=intraday_minutes,
        bucket=bucket,
    ) as stack:
        stack.make_schedule()
        click.echo(stack.describe())
        click.echo(_next_steps(stack.url("console"), sample_events=chosen == DEFAULT_CONTRACT))
        if bucket:
            click.echo(f"\n{_upload(bucket)}")
        click.echo("\nCtrl-C ends all of it.")
        with show_live_stats() as show:
            stack.wait(show)


def _next_steps(console: str, *, sample_events: bool) -> str:
    """Return the commands that lead from a new stack to the first chart."""
    program = shlex.quote(sys.argv[0])
    source = os.path.relpath(ROOT / "data" / "sample_events.csv") if sample_events else "FILE"
    steps = {
        f"{program} publish --source {shlex.quote(source)}": "publish events: CSV, JSON or JSON lines",
        f"{program} trigger aggregate": "compute their days",
        f"{program} aggregate --date today": "compute the events of today",
    }
    width = max(map(len, steps)) + 3
    lines = [f"{command:<{width}}# {effect}" for command, effect in steps.items()]
    return "\n".join(["\nPaste the lines above into another terminal, then:", *lines, f"and open {console}"])


def _upload(bucket: str) -> str:
    """Return the command that puts a file into the bucket of a stack."""
    url = f"$STORAGE_EMULATOR_HOST/upload/storage/v1/b/{bucket}/o?uploadType=media&name=events.csv"
    return (
        f'This puts a file into the bucket; `sluice loads` shows what becomes of it:\ncurl --data-binary @FILE "{url}"'
    )


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8086, show_default=True, help="Port; 0 for a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps all data across restarts. [in memory]",
)
def emulators(port: int, host: str, data: Path | None) -> None:
    """Serve Bigtable, Pub/Sub and Cloud Scheduler to Google's clients, for any project, until Ctrl-C.

    Prints the variables by which the clients find the server.

    Example: sluice emulators --data my-data
    """
    from infra.emulators.server import serve

    try:
        asyncio.run(serve(click.echo, host=host, port=port, data=data))
    except OSError as error:
        raise StackError(str(error)) from None


COMMANDS = (run, up, emulators)
