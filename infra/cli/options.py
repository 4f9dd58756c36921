"""Options that several commands have, each declared once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from shared.errors import SourceError

if TYPE_CHECKING:
    from rich.console import Console

    from infra.sources.files import SourceReader
    from shared.contracts.model import Contract

PAGE = 110  # characters
F = TypeVar("F", bound=Callable[..., Any])

contract = click.option("--contract", type=click.Path(path_type=Path), help="Contract file. [$SLUICE_CONTRACT, music]")
config = click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file with what differs. [infra/deploy.toml]"
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
region = click.option("--region", help="Region of the functions and the schedule. [$GCP_REGION, us-central1]")


def batch_size(default: int = 100) -> Callable[[F], F]:
    """Return the option that says how many events are handled together."""
    return click.option(
        "--batch-size",
        type=click.IntRange(1, 10_000),
        default=default,
        show_default=True,
        help="Events handled together.",
    )


def source(required: bool = True) -> Callable[[F], F]:
    """Return the options that say which files to read."""

    def add(function: F) -> F:
        function = click.option(
            "--format",
            "form",
            type=click.Choice(["csv", "json", "auto"]),
            default="auto",
            show_default=True,
            help="Of the files.",
        )(function)
        return click.option(
            "--source", required=required, help="A file, a directory, a quoted glob, or - for standard input."
        )(function)

    return add


def instance(function: F) -> F:
    """Add the options that say which project and instance to use."""
    function = click.option("--instance-id", help="Bigtable instance. [$BIGTABLE_INSTANCE]")(function)
    return click.option("--project-id", help="Google Cloud project. [$GCP_PROJECT_ID]")(function)


class Day(click.ParamType[date]):
    """A day of the calendar, in UTC."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read a day, or `today` or `yesterday`."""
        if isinstance(value, date):
            return value
        today = datetime.now(UTC).date()
        if value in ("today", "yesterday"):
            return today if value == "today" else date.fromordinal(today.toordinal() - 1)
        try:
            return msgspec.convert(value, date)
        except msgspec.ValidationError:
            self.fail(f"found {value!r}, expected a day such as 2024-01-15, today or yesterday", param, ctx)


class Moment(click.ParamType[datetime]):
    """A day or a time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read a day or an RFC 3339 time; without an offset it is UTC."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"found {value!r}, expected a time such as 2024-01-15 or 2024-01-15T10:30:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def open_source(source: str, form: Any, contract: Contract) -> SourceReader:
    """Find the files and prepare to read them; SourceError if there are none or they can't be read."""
    from infra.batch.check import columns
    from infra.sources.files import SourceReader, find_sources

    return SourceReader(find_sources(source), format=form, columns=columns(contract))


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


def console() -> Console:
    """Return where reports are printed: as wide as the terminal, or as a page where there is none."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PAGE)


def day_span(day: date | None, first: date | None, last: date | None) -> list[date]:
    """Return the days that `--date`, or `--from` and `--to`, name; yesterday if none is given.

    Raises:
        click.UsageError: they contradict each other.
        RequestError: they are the wrong way round, or too many.
    """
    from shared.aggregate.day_requests import day_range

    if day is not None and (first or last):
        raise click.UsageError("found --date with --from or --to, expected one or the other")
    if (first is None) != (last is None):
        raise click.UsageError("found one of --from and --to, expected both")
    if first is not None and last is not None:
        return day_range(first, last)
    return [day or date.fromordinal(datetime.now(UTC).toordinal() - 1)]


def writable(path: Path | None) -> Path | None:
    """Return the path of a file that is going to be written, if it can be: better known before the work than after."""
    if path is not None:
        existed = path.exists()
        try:
            path.open("ab").close()
        except OSError as error:
            raise SourceError(f"{path}: can't be written: {error.strerror}") from None
        if not existed:
            path.unlink()
    return path
