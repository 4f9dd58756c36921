"""Child processes that end with their parent, whatever ends it: an error, a signal or kill -9."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

from shared.errors import StackError

_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 8.0  # seconds between SIGTERM and SIGKILL; Cloud Run gives 10
_POLL = 0.02
# Seconds after a signal in which further ones are ignored. A terminal that closes sends several at once, and a second
# exception at the first instruction of __exit__ would skip it.
_BURST = 1.0
_LOG_TAIL_LINES = 20
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None)  # loaded at import: nothing may wait for a lock between fork and exec


@dataclass(frozen=True, slots=True)
class Child:
    """A running process.

    Attributes:
        log: file of its standard output and standard error.
        wave: processes of a higher wave depend on those of lower ones, and end before them.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    wave: int

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:]) or "(the log is empty)"


class Supervisor:
    """Starts processes, and ends all of them when its `with` block ends.

    Inside the block SIGINT, SIGTERM and SIGHUP end the block too. An inherited SIG_IGN of SIGHUP stays: `nohup` sets it
    so that a command outlives its terminal.
    """

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._folder: Path | None = None
        self._previous_handlers: dict[signal.Signals, Any] = {}
        self._deferring = False
        self._deferred: int | None = None
        self._ignore_until = 0.0

    def __enter__(self) -> Self:
        handlers = {number: signal.getsignal(number) for number in _END_SIGNALS}
        if handlers[signal.SIGHUP] == signal.SIG_IGN:
            del handlers[signal.SIGHUP]
        self._previous_handlers = handlers
        try:
            for number in handlers:
                signal.signal(number, self._end)
            self._folder = _make_folder()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Signals are deferred from here on: a second Ctrl-C would leave processes behind.
        self._deferring = True
        try:
            self.stop()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
        finally:
            for number, handler in self._previous_handlers.items():
                signal.signal(number, handler)
            deferred, self._deferred, self._deferring = self._deferred, None, False
        if deferred is not None and error is None:
            signal.raise_signal(deferred)  # the caller has to end as well

    @property
    def folder(self) -> Path:
        """A folder for logs and other files, deleted after the processes end."""
        if self._folder is None:
            raise StackError("the supervisor has no folder outside its `with` block")
        return self._folder

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        wave: int = 0,
    ) -> Child:
        """Start a process in a group of its own. Call it in the main thread: the process ends when that thread does.

        Args:
            name: for messages and the log file.
            command: the program and its arguments.
            env: its environment; that of this process by default.
            cwd: its working directory; that of this process by default.
            wave: processes of a higher wave end before those of a lower one, which they need to finish their work.

        Raises:
            StackError: the program can't be started.
        """
        log = self.folder / f"{name}.log"
        # A signal between the fork and `append` would leave a process behind.
        with self._deferred_signals():
            try:
                with log.open("ab") as out:
                    process = subprocess.Popen(  # noqa: S603 - the commands are ours
                        [str(part) for part in command],
                        env=None if env is None else dict(env),
                        cwd=cwd,
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                        start_new_session=True,
                        preexec_fn=partial(_end_with_parent, os.getpid()),
                    )
            except OSError as error:
                raise StackError(f"{name}: {command[0]} can't be started: {error.strerror}") from None
            child = Child(name, process, log, wave)
            self.children.append(child)
        return child

    def wait_until(self, ready: Callable[[], bool], failure: str, *, seconds: float = 60.0) -> None:
        """Wait for a condition.

        Raises:
            StackError: a process ended meanwhile, or `failure` after so many seconds.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                tails = "\n".join(f"--- {child.name}\n{child.log_tail()}" for child in self.children)
                raise StackError(f"{failure} after {seconds:g} s; the logs end with:\n{tails}")
            time.sleep(_POLL)

    def check(self) -> None:
        """Raise StackError if a process has ended by itself."""
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                raise StackError(f"{child.name} ended with exit code {code}; its log ends with:\n{child.log_tail()}")

    def stop(self) -> None:
        """End all processes, the highest wave first."""
        for wave in sorted({child.wave for child in self.children}, reverse=True):
            _terminate([child for child in self.children if child.wave == wave])
        self.children.clear()

    @contextlib.contextmanager
    def _deferred_signals(self) -> Iterator[None]:
        """Defer signals until the block ends.

        A signal mask can't do this: another thread takes a signal that the main thread masks, and Python then runs the
        handler in the main thread.
        """
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
            deferred, self._deferred = self._deferred, None
            if deferred is not None:
                self._end(deferred, None)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: raise KeyboardInterrupt or SystemExit in the main thread."""
        now = time.monotonic()
        if self._deferring:
            self._deferred = number
        elif now >= self._ignore_until:
            is_first, self._ignore_until = not self._ignore_until, now + _BURST
            exception = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise exception from None
            if not is_first:  # the loop is blocked and didn't run the callback of the first signal
                raise exception
            # Raised inside a task or callback, asyncio would report it as theirs. Raised by the loop, it ends the loop.
            loop.call_soon_threadsafe(_raise, exception)


def _terminate(children: list[Child]) -> None:
    """End processes and their descendants: SIGTERM first, SIGKILL after the grace period."""
    for child in children:
        _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(deadline - time.monotonic(), 0))
    for child in children:
        _signal_group(child, signal.SIGKILL)  # also ends what an ended process left in its group
        child.process.wait()


def _signal_group(child: Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _raise(error: BaseException) -> None:
    raise error


def _make_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="sluice-"))
    except OSError as error:
        where = tempfile.tempdir or "TMPDIR"  # unset if no candidate of TMPDIR is usable
        raise StackError(f"{where}: no folder for logs can be made: {error.strerror}") from None


def _end_with_parent(parent: int) -> None:
    """Have Linux end this process when its parent ends, even by kill -9. Runs in the child before exec."""
    if sys.platform == "linux":
        # SIGTERM, so that a server ends its workers too: uvicorn's don't watch their parent.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent ended before prctl
            os._exit(1)
