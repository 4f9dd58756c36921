"""The command group of `sluice`, and the exit codes and messages of its errors."""

from __future__ import annotations

import signal

import click

from infra.cli import contract, deploy, doctor, local, provision
from infra.cli.data import aggregate, erase, export, files, loads, replay, tables
from shared.errors import SluiceError

_EPILOG = "Settings come from environment variables; `sluice up` prints them for the local stack. Try: sluice run"


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(package_name="sluice")
def sluice() -> None:
    """Process events from Pub/Sub into Bigtable: validate, store exactly once, aggregate daily."""


_GROUPS = (local, provision, files, loads, contract, aggregate, tables, export, replay, erase, deploy, doctor)
for command in (command for group in _GROUPS for command in group.COMMANDS):
    sluice.add_command(command)


def run() -> int:
    """Run the command of `sys.argv`, print its error if it fails, and return the exit code.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    try:
        code = sluice.main(standalone_mode=False)
    except SluiceError as error:
        click.echo(f"sluice: {error}", err=True)
        return 1
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit as end:
        if end.code == 1:  # raised by click when the reader of the output, such as `head`, has closed the pipe
            return 128 + signal.SIGPIPE
        # Raised by the signal handler of the local stack, with 128 + the signal's number.
        number = end.code - 128 if isinstance(end.code, int) else 0
        click.echo(f"sluice: ended by {signal.Signals(number).name}", err=True)
        return 128 + number
    return code if isinstance(code, int) else 0  # click returns the code that a command exits with
