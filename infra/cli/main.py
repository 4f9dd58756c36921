"""Entry point of the `sluice` command: handle Ctrl-C from the first import on, then load and run the commands.

This module imports nothing that takes time, so Ctrl-C is handled as soon as the interpreter calls `main`.
"""

from __future__ import annotations

import os
import sys

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC, which the commands import

_INTERRUPTED = 130  # 128 + SIGINT, the exit code that a shell reports


def main() -> None:
    """Run the command and exit: 0 on success, 1 after an error, 2 after wrong usage, 130 after Ctrl-C."""
    try:
        code = _load_and_run()
    except KeyboardInterrupt:
        print("sluice: interrupted", file=sys.stderr)
        code = _INTERRUPTED
    sys.exit(code)


def _load_and_run() -> int:
    import signal

    # Raising KeyboardInterrupt isn't enough during imports: the import system ignores exceptions in its callbacks.
    # A SIGINT that the parent process has set to be ignored stays ignored.
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handled:
        signal.signal(signal.SIGINT, _exit_at_once)
    from shared import gc_tuning

    gc_tuning.apply()  # before the next imports, during which Python would collect garbage several times
    from infra.cli import commands

    if handled:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return commands.run()


def _exit_at_once(_number: int, _frame: object) -> None:
    """Exit without clean-up: nothing has been started while the commands are being imported."""
    os.write(2, b"sluice: interrupted\n")
    os._exit(_INTERRUPTED)
