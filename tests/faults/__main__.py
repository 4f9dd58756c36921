"""Play the fault scenarios under load and compare the tables with the published events: `make soak`."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from pathlib import Path

import click
from msgspec.structs import replace

from infra.cli.options import engine
from infra.local.emulators import Engine
from infra.local.stack import Stack
from shared.errors import SluiceError
from tests.faults.scenarios import SCENARIOS, Size, play

_NAMES = {scenario.__name__.replace("_", "-"): scenario for scenario in SCENARIOS}
_DEFAULT = Size()


@click.command()
@click.option("--scenario", "names", type=click.Choice(list(_NAMES)), multiple=True, help="[all]")
@click.option("--events", type=click.IntRange(100), default=_DEFAULT.events, show_default=True)
@click.option("--users", type=click.IntRange(1), default=_DEFAULT.users, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=_DEFAULT.seconds, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@engine
def main(names: tuple[str, ...], events: int, users: int, seconds: float, seed: int, engine: Engine) -> None:
    """Play each scenario; print the lost and doubled events, and exit 1 if there are any."""
    size = Size(events=events, users=users, seconds=seconds)
    outcomes = []
    try:
        with Stack(functions=(), engine=engine) as stack, tempfile.TemporaryDirectory() as folder:
            for name in names or _NAMES:
                unused = uuid.uuid4().hex[:12]
                settings = replace(stack.settings, project_id=f"project-{unused}", instance_id=f"instance-{unused}")
                outcomes.append(play(_NAMES[name], settings, size, Path(folder), engine=engine, seed=seed))
                click.echo(outcomes[-1].summary())
    except SluiceError as error:
        raise click.ClickException(str(error)) from None
    correct = all(outcome.is_correct for outcome in outcomes)
    click.echo("no event lost, none doubled" if correct else "the tables differ from the events")
    sys.exit(0 if correct else 1)


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    main()
