"""Child processes that are never left behind: started together, watched, and ended whatever happens to their parent."""

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

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 8.0  # seconds between asking a process to end and making it; Cloud Run gives 10
_POLL = 0.02
# Seconds in which further signals say the same: a terminal that closes sends several at once, and a second exception at
# the first instruction of __exit__ would skip it.
_BURST = 1.0
_LAST_LINES = 20
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may wait for a lock


@dataclass(frozen=True, slots=True)
class Child:
    """A running part.

    Attributes:
        log: what it writes, both streams.
        wave: a higher one stands on the lower ones, and ends before them.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    wave: int

    def last_words(self) -> str:
        """Return the last lines of its log."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:]) or "(it wrote nothing)"


class Supervisor:
    """Starts processes, and ends them all when its `with` block ends: by an error, Ctrl-C, SIGTERM or SIGHUP too."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._folder: Path | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._holding = False
        self._held: int | None = None
        self._deaf_until = 0.0

    def __enter__(self) -> Self:
        # Who ignores SIGHUP was started to outlive its terminal (nohup).
        taken = [number for number in _ENDINGS if (number, signal.getsignal(number)) != (signal.SIGHUP, signal.SIG_IGN)]
        self._before = {number: signal.getsignal(number) for number in taken}
        try:
            for number in taken:
                signal.signal(number, self._end)
            self._folder = _make_folder()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # From here on nothing may interrupt: a second Ctrl-C would leave processes behind.
        self._holding = True
        try:
            self.stop()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            held, self._held, self._holding = self._held, None, False
        if held is not None and error is None:
            signal.raise_signal(held)  # whoever comes next shouldn't go on as if nothing had been asked

    @property
    def folder(self) -> Path:
        """A folder for logs and the like, which is gone when the processes are."""
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
        """Start a process in a group of its own. Call it from the main thread: its children end when that thread does.

        Args:
            name: for messages and the log file.
            command: what to run.
            env: its environment; ours by default.
            cwd: its working directory; ours by default.
            wave: processes of a higher wave end before those of a lower one, which they need to finish their work.

        Raises:
            StackError: it can't be started.
        """
        log = self.folder / f"{name}.log"
        # A signal between the fork and the list would leave a process that nobody knows of.
        with self._signals_held():
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
                        preexec_fn=partial(_in_child, os.getpid()),
                    )
            except OSError as error:
                raise StackError(f"{name}: {command[0]} can't be started: {error.strerror}") from None
            child = Child(name, process, log, wave)
            self.children.append(child)
        return child

    def wait_until(self, ready: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
        """Wait for a condition.

        Raises:
            StackError: a process ended meanwhile, or it takes longer than `seconds`.
        """
        give_up = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > give_up:
                raise StackError(f"{what} after {seconds:g} s; the last words:\n{self._all_last_words()}")
            time.sleep(_POLL)

    def check(self) -> None:
        """Raise StackError if a process has ended by itself."""
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                raise StackError(f"{child.name} ended with exit code {code}; its last words:\n{child.last_words()}")

    def forget(self, child: Child) -> None:
        """End one process, and don't expect it to run any more."""
        _terminate([child])
        self.children.remove(child)

    def stop(self) -> None:
        """End all processes, the highest wave first."""
        for wave in sorted({child.wave for child in self.children}, reverse=True):
            _terminate([child for child in self.children if child.wave == wave])
        self.children.clear()

    @contextlib.contextmanager
    def _signals_held(self) -> Iterator[None]:
        """Hold signals back for a moment.

        Not by a signal mask: another thread takes what the main thread masks, and Python then runs the handler in the
        main thread all the same.
        """
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            held, self._held = self._held, None
            if held is not None:
                self._end(held, None)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._holding:
            self._held = number
        elif now >= self._deaf_until:
            first, self._deaf_until = not self._deaf_until, now + _BURST
            ending = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise ending from None
            if not first:  # the loop didn't come to it
                raise ending
            # Amid some task or callback it would be reported as theirs; from the loop itself it ends the loop.
            loop.call_soon_threadsafe(_throw, ending)

    def _all_last_words(self) -> str:
        return "\n".join(f"--- {child.name}\n{child.last_words()}" for child in self.children)


def _terminate(children: list[Child]) -> None:
    """End processes and all that they started: ask, then make them."""
    for child in children:
        _signal(child, signal.SIGTERM)
    give_up = time.monotonic() + _GRACE
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(give_up - time.monotonic(), 0))
    for child in children:
        _signal(child, signal.SIGKILL)  # also what a process that ended left in its group
        child.process.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _throw(error: BaseException) -> None:
    raise error


def _make_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="sluice-"))
    except OSError as error:
        where = tempfile.tempdir or "TMPDIR"  # without one, every place that may be used was tried in vain
        raise StackError(f"{where}: no folder for logs can be made: {error.strerror}") from None


def _in_child(parent: int) -> None:
    """On Linux, end when the parent does, even by kill -9."""
    if sys.platform == "linux":
        # SIGTERM, so that a server which has workers of its own ends them too: uvicorn's don't look for their master.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)
