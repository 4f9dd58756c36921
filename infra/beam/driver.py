"""What the drivers of all jobs share: results and errors for the process that started them, and their end.

With the flag `--end-with-input` the driver leads a process group that includes the workers of the local runner. The
group ends when the standard input of the driver ends, so that it never outlives the process that started it.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from infra.beam.driver_process import END_WITH_INPUT
from shared import errors

# An error of this project in the traceback of a worker process, which Beam passes on as text.
_WORKER_ERROR = re.compile(r"^shared\.errors\.\w+: (.+)$", re.MULTILINE)
# What Beam appends to the text of an error.
_STEP = re.compile(r" \[while running '.*'\]$")


def drive(main: Callable[[list[str]], None]) -> None:
    """Run the main function of a driver with the arguments of the process; exit with 1 after an error."""
    threading.excepthook = _end_with_lost_worker
    arguments = sys.argv[1:]
    if END_WITH_INPUT in arguments:
        arguments.remove(END_WITH_INPUT)
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        main(arguments)
    except Exception as error:
        text = error_text(error)
        if text is None:
            raise
        _fail(text)


def error_text(error: Exception) -> str | None:
    """Return the text of an error of this project, raised here or in a worker; None for any other error."""
    text = str(error)
    if not isinstance(error, errors.SluiceError):
        raised = _WORKER_ERROR.search(text)
        if raised is None:
            return None
        text = raised[1]
    return _STEP.sub("", text)


def print_result(result: Any) -> None:
    """Print a result for the process that started this one."""
    _print({"result": result})


def _fail(text: str) -> NoReturn:
    _print({"error": text})
    # Beam's threads wait for workers that may never answer.
    sys.stdout.flush()
    os._exit(1)


def _print(line: Any) -> None:
    print(msgspec.json.encode(line).decode(), flush=True)


def _end_with_lost_worker(arguments: threading.ExceptHookArgs) -> None:
    """Fail if a worker process has ended: Beam's local runner would wait for it and never end."""
    if arguments.thread is not None and arguments.thread.name == "run_worker":
        _fail(f"a worker process of Beam's local runner was lost: {arguments.exc_value}")
    threading.__excepthook__(arguments)


def _end_with_input() -> None:
    while os.read(0, 1):  # sys.stdin would hold a lock at the end of the interpreter
        pass
    os.killpg(0, signal.SIGKILL)
