"""Options that several commands share, and helpers for their values and output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import click
import msgspec

from infra.beam.runners import Dataflow, LocalRunner, Runner
from infra.cli.param_types import Day, Interval
from shared.contracts.source import Format
from shared.errors import SourceError

if TYPE_CHECKING:
    from rich.console import Console

    from shared.contracts.model import Contract
    from shared.sources.files import SourceReader

# Seconds until a command that reads or tests gives up on a server that doesn't answer; the functions wait longer.
DEADLINE = 10.0
_PAGE_WIDTH = 110  # characters
F = TypeVar("F", bound=Callable[..., Any])

contract = click.option(
    "--contract", type=click.Path(path_type=Path), help="Contract file. [$SLUICE_CONTRACT, or the music contract]"
)
config = click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file that overrides settings of infra/deploy/deploy.toml."
)
engine = click.option(
    "--emulators",
    "engine",
    type=click.Choice(["embedded", "google"]),
    default="embedded",
    envvar="EMULATORS",
    show_envvar=True,
    show_default=True,
    help="The embedded emulators, or Google's.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
name = click.option("--name", help="Name of the pipeline, which prefixes its resources. [$SLUICE_NAME, or sluice]")
region = click.option("--region", help="Region of the functions and the scheduler jobs. [$GCP_REGION, or us-central1]")


def batch_size(default: int = 100) -> Callable[[F], F]:
    """Return the option `--batch-size`."""
    return click.option(
        "--batch-size",
        type=click.IntRange(1, 10_000),
        default=default,
        show_default=True,
        help="Number of events per batch.",
    )


def source(required: bool = True) -> Callable[[F], F]:
    """Return a decorator that adds the options `--source` and `--format`."""

    def add(function: F) -> F:
        function = click.option(
            "--format",
            "form",
            type=click.Choice(get_args(Format)),
            default="auto",
            show_default=True,
            help="Format of the files. [that of the contract]",
        )(function)
        return click.option(
            "--source", required=required, help="A file, a directory, a quoted glob pattern, or - for standard input."
        )(function)

    return add


def project(function: F) -> F:
    """Add the options `--name` and `--project-id`."""
    return name(click.option("--project-id", help="Google Cloud project. [$GCP_PROJECT_ID]")(function))


def instance(function: F) -> F:
    """Add the options `--name`, `--project-id` and `--instance-id`."""
    function = click.option("--instance-id", help="Bigtable instance. [$BIGTABLE_INSTANCE]")(function)
    return project(function)


def days(default: str) -> Callable[[F], F]:
    """Return a decorator that adds the options `--date`, `--from` and `--to`; `default` is shown in the help."""

    def add(function: F) -> F:
        function = click.option("--to", "last", type=Day(), help="Last day of a range (inclusive).")(function)
        function = click.option("--from", "first", type=Day(), help="First day of a range.")(function)
        return click.option("--date", "day", type=Day(), help=f"A single day. [{default}]")(function)

    return add


def beam(function: F) -> F:
    """Add the options of Beam; the command gets the runner that they select as `runner`, None without Beam."""

    @click.option(
        "--engine",
        "engine",
        type=click.Choice(["function", "beam"]),
        default="function",
        show_default=True,
        help="This process with the code of the function, or Apache Beam.",
    )
    @click.option(
        "--runner",
        type=click.Choice(["direct", "dataflow"]),
        help="Where Beam runs: on this machine, or on Dataflow. [direct]",
    )
    @click.option("--workers", type=click.IntRange(1), help="Worker processes of Beam, or most workers of Dataflow.")
    @click.option("--region", help="Region of Dataflow. [$GCP_REGION, or us-central1]")
    @click.option("--staging", help="Folder of Dataflow's files in Cloud Storage, gs://BUCKET[/FOLDER].")
    @click.option("--service-account", help="E-mail address of the account of Dataflow's workers.")
    @click.option("--image", help="Image of Dataflow's workers, with the code of this project.")
    @click.option(
        "--packages", multiple=True, help="A package that Dataflow's workers install instead of an image; repeatable."
    )
    @wraps(function)
    def with_runner(
        engine: str,
        runner: str | None,
        workers: int | None,
        region: str | None,
        staging: str | None,
        service_account: str | None,
        image: str | None,
        packages: tuple[str, ...],
        **options: Any,
    ) -> Any:
        of_dataflow = {
            "--region": region,
            "--staging": staging,
            "--service-account": service_account,
            "--image": image,
            "--packages": packages,
        }
        given = [name for name, value in of_dataflow.items() if value]
        selected: Runner | None = None
        if engine != "beam":
            given += ["--runner"] * (runner is not None) + ["--workers"] * (workers is not None)
            _refuse(given, "--engine beam")
        elif runner == "dataflow":
            if staging is None:
                raise click.UsageError("found --runner dataflow without --staging, expected both")
            selected = Dataflow(staging, region, service_account, image, packages, workers)
        else:
            _refuse(given, "--runner dataflow")
            selected = LocalRunner(workers or 1)
        return function(runner=selected, **options)

    return cast(F, with_runner)


def _refuse(given: list[str], needed: str) -> None:
    if given:
        raise click.UsageError(f"found {', '.join(given)} without {needed}, expected both")


def day_span(day: date | None, first: date | None, last: date | None) -> list[date]:
    """Return the days that `--date`, or `--from` and `--to`, select; the default is yesterday.

    Raises:
        click.UsageError: the options contradict each other.
        RequestError: the range is reversed or too long.
    """
    from shared.aggregate.day_requests import day_range

    if day is not None and (first or last):
        raise click.UsageError("found --date with --from or --to, expected one or the other")
    if (first is None) != (last is None):
        raise click.UsageError("found one of --from and --to, expected both")
    if first is not None and last is not None:
        return day_range(first, last)
    return [day or date.fromordinal(datetime.now(UTC).toordinal() - 1)]


def open_source(source: str, form: Format, contract: Contract) -> SourceReader:
    """Find the files of `--source` and check that they can be read.

    Raises:
        SourceError: no file matches, or a file can't be read.
    """
    from shared.sources.columns import columns
    from shared.sources.files import SourceReader, find_sources

    files = find_sources(source, contract.source.format if form == "auto" else form)
    return SourceReader(files, format=form, source_format=contract.source, columns=columns(contract))


def check_writable(path: Path | None) -> None:
    """Check, before a long run, that its output file can be written.

    Raises:
        SourceError: the file can't be written.
    """
    if path is None:
        return
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise SourceError(f"{path}: can't be written: {error.strerror}") from None
    if not existed:
        path.unlink()


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


intraday_minutes = click.option(
    "--intraday-minutes",
    type=Interval(),
    default=0,
    help="Minutes between two computations of the current day, such as 15. [off]",
)
allow_changes = click.option(
    "--allow-changes",
    is_flag=True,
    help="Let the console request days, run the schedule and replay rejected events. [read-only]",
)


def console() -> Console:
    """Return the console for reports: as wide as the terminal, or of a fixed width without one."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PAGE_WIDTH)
