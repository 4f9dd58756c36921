"""Commands for your own machine: run, up, bundle, doctor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from infra.cli import options
from infra.local.stats import StackCounts
from shared.config import contract_path
from shared.contracts.loader import load_contract

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@options.source(required=False)
@options.contract
@click.option("--report", type=click.Path(path_type=Path), help="Write the figures to this JSON file as well.")
def run(source: str | None, form: str, contract: Path | None, report: Path | None) -> None:
    """Run the whole loop once on Google's emulators and show what came of it.

    Example: sluice run --source data/sample_events.csv --report report.json
    """
    from rich.console import Console

    from infra.batch.progress import Bar
    from infra.local.end_to_end import run_end_to_end

    loaded = load_contract(contract_path(contract))
    reader = options.open_source(source or str(ROOT / "data"), form, loaded)
    options.writable(report)
    console = options.console()
    with Bar(Console(stderr=True), "starting", None) as bar:
        run_end_to_end(reader, loaded, console, bar, report)


@click.command()
@options.contract
@click.option("--bigtable-port", type=click.IntRange(1, 65535), help="Port of the Bigtable emulator. [a free one]")
@click.option("--pubsub-port", type=click.IntRange(1, 65535), help="Port of the Pub/Sub emulator. [a free one]")
@click.option("--scheduler-port", type=click.IntRange(1, 65535), help="Port of Cloud Scheduler. [a free one]")
@click.option("--ingest-port", type=click.IntRange(1, 65535), help="Port of the function `ingest`. [a free one]")
@click.option("--aggregate-port", type=click.IntRange(1, 65535), help="Port of the function `aggregate`. [a free one]")
def up(
    contract: Path | None,
    bigtable_port: int | None,
    pubsub_port: int | None,
    scheduler_port: int | None,
    ingest_port: int | None,
    aggregate_port: int | None,
) -> None:
    """Start the local stack and keep it until Ctrl-C: emulators, scheduler, functions, and the relay between them.

    Example: sluice up --bigtable-port 8086 --pubsub-port 8085
    """
    from infra.cli.local import show_figures
    from infra.local.stack import Stack

    chosen = contract_path(contract)
    load_contract(chosen)
    ports = {
        "bigtable": bigtable_port,
        "pubsub": pubsub_port,
        "scheduler": scheduler_port,
        "ingest": ingest_port,
        "aggregate": aggregate_port,
    }
    with Stack(contract=chosen, ports={part: port for part, port in ports.items() if port}) as stack:
        stack.make_schedule()
        click.echo(stack.describe())
        click.echo("\nCtrl-C ends all of it.")
        with show_figures() as show:
            stack.wait(show)


# Seconds between lines in a pipe, as between those that a function logs.
_LINES_EVERY = 5.0


@contextmanager
def show_figures(console: Console | None = None) -> Iterator[Callable[[StackCounts], None]]:
    """Return what shows figures: in place on a terminal, in a pipe as lines, when they have changed."""
    console = console or Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:

            def draw(figures: StackCounts) -> None:
                text = "\n".join(f"{what:<20} {line}" for what, line in figures.lines().items())
                live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)

            yield draw
        return
    told, told_at = StackCounts().lines(), 0.0

    def write(figures: StackCounts) -> None:
        nonlocal told, told_at
        lines = figures.lines()
        if lines != told and time.monotonic() - told_at >= _LINES_EVERY:
            changed = [f"{what}: {line}" for what, line in lines.items() if line != told.get(what)]
            print("\n".join(changed), flush=True)
            told, told_at = lines, time.monotonic()

    yield write


COMMANDS = (run, up)
