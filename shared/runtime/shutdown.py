"""Shutdown of an instance: cancels the requests that are still running shortly before Cloud Run kills the process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from shared.errors import StoreUnavailableError

# Seconds between SIGTERM and the cancellation of requests. Cloud Run kills the process 10 s after SIGTERM
# (https://cloud.google.com/run/docs/container-contract#instance-shutdown); the rest is for the responses.
GRACE_SECONDS = 7.0


class TrackedRequest:
    """A context manager that registers the running request for cancellation."""

    __slots__ = ("_shutdown", "_task")

    def __init__(self, shutdown: Shutdown) -> None:
        self._shutdown = shutdown

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request runs in a task
        self._task = task
        self._shutdown.requests.add(task)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._shutdown.requests.discard(self._task)
        if isinstance(error, asyncio.CancelledError) and self._shutdown.cancelling:
            self._task.uncancel()
            raise StoreUnavailableError("the instance shuts down before the message is stored") from None


class Shutdown:
    """Cancels the running requests of one event loop after SIGTERM.

    Attributes:
        requests: tasks of the requests that are running.
        cancelling: whether they have been cancelled.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self.requests: set[asyncio.Task[Any]] = set()
        self.cancelling = False

    def track(self) -> TrackedRequest:
        """Return a context manager for the code of a request.

        Raises:
            StoreUnavailableError: on leaving the block, if the shutdown cancelled the request.
        """
        return TrackedRequest(self)

    def cancel_requests(self) -> None:
        """Cancel all running requests; Pub/Sub delivers their messages again."""
        self.cancelling = True
        for task in self.requests:
            task.cancel()

    def install(self, on_signal: Callable[[], None] = lambda: None) -> None:
        """Handle SIGTERM before the server's own handler, which stops accepting requests and waits for running ones.

        Args:
            on_signal: is called in the event loop when the signal arrives.
        """
        loop = asyncio.get_running_loop()
        server_handler = signal.getsignal(signal.SIGTERM)
        if not callable(server_handler):
            return  # the signal ends the process at once

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(on_signal)
            loop.call_soon_threadsafe(loop.call_later, self._grace, self.cancel_requests)
            server_handler(number, frame)

        signal.signal(signal.SIGTERM, handle)


SHUTDOWN: Final = Shutdown()
