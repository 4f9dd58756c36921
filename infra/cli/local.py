"""Commands that run the pipeline on this machine: run, up."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli import options
from shared.config import contract_path
from shared.contracts.loader import load_contract

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@options.source(required=False)
@options.contract
@click.option("--report", type=click.Path(path_type=Path), help="Also write the report to this JSON file.")
def run(source: str | None, form: str, contract: Path | None, report: Path | None) -> None:
    """Run the whole pipeline once on Google's emulators and show the results.

    Example: sluice run --source data/sample_events.csv --report report.json
    """
    from rich.console import Console

    from infra.batch.progress import Bar
    from infra.local.end_to_end import run_end_to_end

    loaded = load_contract(contract_path(contract))
    reader = options.open_source(source or str(ROOT / "data"), form, loaded)
    options.check_writable(report)
    console = options.console()
    with Bar(Console(stderr=True), "starting", None) as bar:
        run_end_to_end(reader, loaded, console, bar, report)


@click.command()
@options.contract
@click.option("--bigtable-port", type=click.IntRange(1, 65535), help="Port of the Bigtable emulator. [any free port]")
@click.option("--pubsub-port", type=click.IntRange(1, 65535), help="Port of the Pub/Sub emulator. [any free port]")
@click.option("--scheduler-port", type=click.IntRange(1, 65535), help="Port of the scheduler. [any free port]")
@click.option("--ingest-port", type=click.IntRange(1, 65535), help="Port of the function `ingest`. [any free port]")
@click.option(
    "--aggregate-port", type=click.IntRange(1, 65535), help="Port of the function `aggregate`. [any free port]"
)
def up(
    contract: Path | None,
    bigtable_port: int | None,
    pubsub_port: int | None,
    scheduler_port: int | None,
    ingest_port: int | None,
    aggregate_port: int | None,
) -> None:
    """Run the local stack until Ctrl-C: emulators, scheduler, functions, and the relay between them.

    Example: sluice up --bigtable-port 8086 --pubsub-port 8085
    """
    from infra.cli.live_stats import show_live_stats
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
        with show_live_stats() as show:
            stack.wait(show)


COMMANDS = (run, up)
