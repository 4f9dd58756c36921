"""Commands that read files of events: publish, ingest, check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli import options
from shared.config import Settings, contract_path
from shared.contracts.loader import load_contract
from shared.errors import SourceError

if TYPE_CHECKING:
    from infra.batch.report import Report
    from infra.sources.files import SourceReader


@click.command()
@options.source()
@options.contract
@click.option("--project-id", help="Google Cloud project. [$GCP_PROJECT_ID]")
@click.option("--topic", default="events", show_default=True, help="Topic to publish to.")
@options.batch_size()
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second at most.")
@options.as_json
def publish(
    source: str,
    form: str,
    contract: Path | None,
    project_id: str | None,
    topic: str,
    batch_size: int,
    rate: float | None,
    as_json: bool,
) -> None:
    """Publish the events of files to the topic, packed many to a message.

    Example: sluice publish --source data/sample_events.csv
    """
    from infra.batch.publish import publish_files
    from shared.pubsub.publisher import Publisher

    settings = Settings.from_environment(project_id=project_id, instance_id="unused", contract=contract)
    reader = options.open_source(source, form, load_contract(settings.contract))
    started = time.monotonic()

    async def work() -> tuple[Report, int]:
        async with Publisher(settings) as publisher:
            with _bar("publishing", reader) as progress:
                return await publish_files(
                    reader, publisher, topic, batch_size=batch_size, rate=rate, progress=progress
                )

    report, messages = asyncio.run(work())
    seconds = time.monotonic() - started
    if as_json:
        options.print_json({"published": report.published, "messages": messages, "unreadable": report.unreadable_count})
        return
    click.echo(
        f"{report.published:,} events published to {topic} in {messages:,} messages "
        f"({report.published / seconds:,.0f} events/s)"
    )
    for text in report.unreadable:
        click.echo(f"unreadable: {text}", err=True)


@click.command()
@options.source()
@options.contract
@options.instance
@options.batch_size(500)
@click.option("--no-quality-checks", is_flag=True, help="Store all that has an id, a user and a time.")
@options.as_json
def ingest(
    source: str,
    form: str,
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    batch_size: int,
    no_quality_checks: bool,
    as_json: bool,
) -> None:
    """Store the events of files in Bigtable directly, through the code the function runs.

    Example: sluice ingest --source events.csv --format csv
    """
    from infra.batch.load import load_files
    from shared.bigtable.client import Bigtable

    settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=contract)
    loaded = load_contract(settings.contract)
    reader = options.open_source(source, form, loaded)

    async def work() -> Report:
        bigtable = Bigtable(settings)
        try:
            with _bar("storing", reader) as progress:
                return await load_files(
                    reader, bigtable, loaded, batch_size=batch_size, quality=not no_quality_checks, progress=progress
                )
        finally:
            await bigtable.close()

    _tell(asyncio.run(work()), as_json, verb="read")


@click.command()
@options.source()
@options.contract
@options.as_json
def check(source: str, form: str, contract: Path | None, as_json: bool) -> None:
    """Judge the events of files without storing anything; no server is needed.

    Example: sluice check --source data/sample_events.json
    """
    from infra.batch.check import check_files

    loaded = load_contract(contract_path(contract))
    reader = options.open_source(source, form, loaded)
    with _bar("checking", reader) as progress:
        report = check_files(reader, loaded, progress=progress)
    _tell(report, as_json, verb="read")


class _bar:  # noqa: N801 - used like a function
    """Show the progress of reading files on standard error."""

    def __init__(self, title: str, reader: SourceReader) -> None:
        from rich.console import Console

        from infra.batch.progress import Bar

        self._reader = reader
        self._bar = Bar(Console(stderr=True), title, reader.total_bytes)

    def __enter__(self) -> Callable[[Report], None]:
        self._bar.__enter__()
        return self._show

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def _show(self, report: Report) -> None:
        figures = {"published": report.published, "stored": report.stored, "rejected": report.rejected_events}
        self._bar.update(
            self._reader.bytes_read, report.published, **{name: count for name, count in figures.items() if count}
        )


def _tell(report: Report, as_json: bool, *, verb: str) -> None:
    if as_json:
        options.print_json(report.as_json())
    else:
        report.show(options.console(), verb=verb)
    if report.unreadable_count and not report.published:
        raise SourceError(f"nothing could be read; the first problem: {report.unreadable[0]}")


COMMANDS = (publish, ingest, check)
