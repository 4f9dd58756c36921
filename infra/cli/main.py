"""The `sluice` command: what it takes, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import click

from infra.cli import aggregate, deploy, doctor, files, local, provision, replay, tables
from shared.errors import SluiceError

_EPILOG = "The settings come from the environment; `sluice up` prints the lines to paste. Try: sluice run"


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(package_name="sluice")
def sluice() -> None:
    """Events from Pub/Sub into Bigtable: checked, stored once, rolled up every day."""


_GROUPS = (local, provision, files, aggregate, tables, replay, deploy, doctor)
for command in (command for group in _GROUPS for command in group.COMMANDS):
    sluice.add_command(command)


def main() -> None:
    """Run the command; end with 0, with 1 for an error that is told in one line, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        code = sluice.main(standalone_mode=False)
    except SluiceError as error:
        _end(1, f"sluice: {error}")
    except click.Abort:
        _end(130, "sluice: interrupted")
    except click.ClickException as error:
        error.show()
        _end(error.exit_code)
    except KeyboardInterrupt:
        _end(130, "sluice: interrupted")
    except SystemExit as end:  # of a signal, while the local stack was running
        number = end.code - 128 if isinstance(end.code, int) else 0
        _end(128 + number, f"sluice: ended by {signal.Signals(number).name}")
    except BrokenPipeError:
        # The reader of our output has seen enough, as `head` does; the rest must not fail at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end(128 + signal.SIGPIPE)
    else:
        _end(code if isinstance(code, int) else 0)  # click returns what a command exits with


def _end(code: int, text: str | None = None) -> None:
    if text is not None:
        click.echo(text, err=True)
    sys.exit(code)
