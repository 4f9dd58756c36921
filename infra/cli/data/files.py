"""Commands that read source files: publish, ingest, check."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.beam.runners import Dataflow
from infra.cli import options
from shared.config import Settings, contract_path, mask_key
from shared.contracts.loader import load_contract
from shared.errors import SourceError

if TYPE_CHECKING:
    from infra.batch.report import Report
    from infra.beam.runners import Runner
    from shared.contracts.source import Format
    from shared.sources.files import SourceReader


@click.command()
@options.source()
@options.contract
@options.project
@click.option("--topic", help="Topic to publish to. [that of the pipeline, events]")
@options.batch_size()
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Maximum number of events per second.")
@options.as_json
def publish(
    source: str,
    form: Format,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    topic: str | None,
    batch_size: int,
    rate: float | None,
    as_json: bool,
) -> None:
    """Publish the events of files to a topic, many events per message.

    Example: sluice publish --source data/sample_events.csv
    """
    from infra.batch.publish import publish_files
    from shared.pubsub.publisher import Publisher

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id="unused", contract=contract)
    destination = topic or settings.resource("events")
    reader = options.open_source(source, form, load_contract(settings.contract))
    started = time.monotonic()

    async def run() -> tuple[Report, int]:
        async with Publisher(settings) as publisher:
            with _progress_bar("publishing", reader) as progress:
                return await publish_files(
                    reader, publisher, destination, batch_size=batch_size, rate=rate, progress=progress
                )

    report, messages = asyncio.run(run())
    seconds = time.monotonic() - started
    if as_json:
        options.print_json({"published": report.published, "messages": messages, "unreadable": report.unreadable_count})
        return
    click.echo(
        f"{report.published:,} events published to {destination} in {messages:,} messages "
        f"({report.published / seconds:,.0f} events/s)"
    )
    for text in report.unreadable:
        click.echo(f"unreadable: {text}", err=True)


@click.command()
@options.source()
@options.contract
@options.instance
@options.batch_size(500)
@click.option(
    "--no-quality-checks", is_flag=True, help="Store every event that has an id, a user and a time, without checks."
)
@options.beam
@options.as_json
def ingest(
    source: str,
    form: Format,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    batch_size: int,
    no_quality_checks: bool,
    runner: Runner | None,
    as_json: bool,
) -> None:
    """Store the events of files in Bigtable directly, with the same code as the function.

    Example: sluice ingest --source events.csv --format csv
    """
    from infra.batch.load import load_files
    from shared.bigtable.client import Bigtable

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract, settings.mask_key)
    if isinstance(runner, Dataflow) and loaded.hashed:
        raise click.UsageError(
            "found --runner dataflow with mask = hash in the contract, expected a runner with its key"
        )
    if runner is not None:
        flags = [f"--format={form}", f"--batch-size={batch_size}", *["--no-quality-checks"] * no_quality_checks]
        searched = loaded.source.format if form == "auto" else form
        _print_report(_ingest_on_beam(settings, source, searched, flags, runner), as_json=as_json)
        return
    reader = options.open_source(source, form, loaded)

    async def run() -> Report:
        async with Bigtable(settings) as bigtable:
            with _progress_bar("storing", reader) as progress:
                return await load_files(
                    reader, bigtable, loaded, batch_size=batch_size, quality=not no_quality_checks, progress=progress
                )

    _print_report(asyncio.run(run()), as_json=as_json)


def _ingest_on_beam(settings: Settings, source: str, form: Format, flags: list[str], runner: Runner) -> Report:
    """Store files in one job of Beam, which also finds those in Cloud Storage."""
    from infra.batch.report import Report
    from infra.beam.driver_process import results
    from shared.sources.files import find_sources

    paths = [source] if "://" in source else [path and str(path.resolve()) for path in find_sources(source, form)]
    if None in paths:
        raise click.UsageError("found --source - with --engine beam, expected files")
    flags += [f"--source={path}" for path in paths]
    (report,) = results("ingest", [*flags, *runner.flags(settings, "ingest")], settings)
    return Report(**{**report, "rejected": Counter(report["rejected"])})


@click.command()
@options.source()
@options.contract
@options.as_json
def check(source: str, form: Format, contract: Path | None, as_json: bool) -> None:
    """Validate the events of files without storing them; no server is needed.

    Example: sluice check --source data/sample_events.json
    """
    from infra.batch.check import check_files

    loaded = load_contract(contract_path(contract), mask_key())
    reader = options.open_source(source, form, loaded)
    with _progress_bar("checking", reader) as progress:
        report = check_files(reader, loaded, progress=progress)
    _print_report(report, as_json=as_json)


@contextmanager
def _progress_bar(title: str, reader: SourceReader) -> Iterator[Callable[[Report], None]]:
    """Show a progress bar on standard error if that is a terminal; yield the function that updates it."""
    if not sys.stderr.isatty():
        yield lambda _report: None
        return
    from rich.console import Console

    from infra.batch.progress import Bar

    with Bar(Console(stderr=True), title, reader.total_bytes) as bar:

        def update(report: Report) -> None:
            counts = {"published": report.published, "stored": report.stored, "rejected": report.rejected_events}
            non_zero = {name: count for name, count in counts.items() if count}
            bar.update(reader.bytes_read, report.published, **non_zero)

        yield update


def _print_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        options.print_json(report.as_json())
    else:
        report.show(options.console(), verb="read")
    if report.unreadable_count and not report.published:
        raise SourceError(f"nothing could be read; the first problem: {report.unreadable[0]}")


COMMANDS = (publish, ingest, check)
