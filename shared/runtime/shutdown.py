"""The end of an instance: what is still under way shortly before it would be killed is handed back instead."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from shared.errors import StoreUnavailableError

# Seconds between SIGTERM and handing back. Cloud Run kills 10 s after SIGTERM
# (https://cloud.google.com/run/docs/container-contract#instance-shutdown); the rest is for the answers.
GRACE = 7.0


class TrackedRequest:
    """One request being watched over."""

    __slots__ = ("_ending", "_task")

    def __init__(self, ending: Shutdown) -> None:
        self._ending = ending

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is one
        self._task = task
        self._ending.requests.add(task)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._ending.requests.discard(self._task)
        if isinstance(error, asyncio.CancelledError) and self._ending.handing_back:
            self._task.uncancel()
            raise StoreUnavailableError("the instance ends before this is done") from None


class Shutdown:
    """Watches over the requests of one event loop.

    Attributes:
        requests: those under way.
        handing_back: whether they are called off.
    """

    def __init__(self, grace: float = GRACE) -> None:
        self._grace = grace
        self.requests: set[asyncio.Task[Any]] = set()
        self.handing_back = False

    def watching(self) -> TrackedRequest:
        """TrackedRequest over the request that runs a `with` block.

        Raises:
            StoreUnavailableError: by the block; the instance ends, and the block was called off.
        """
        return TrackedRequest(self)

    def hand_back(self) -> None:
        """Call off all that is under way."""
        self.handing_back = True
        for task in self.requests:
            task.cancel()

    def listen(self, then: Callable[[], None] = lambda: None) -> None:
        """Hear of SIGTERM beside the server, whose own handler lets nothing more in and waits for what is inside.

        Args:
            then: is called when the signal comes.
        """
        loop = asyncio.get_running_loop()
        server_ends = signal.getsignal(signal.SIGTERM)
        if not callable(server_ends):
            return  # the signal ends the process at once

        def end(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(then)
            loop.call_soon_threadsafe(loop.call_later, self._grace, self.hand_back)
            server_ends(number, frame)

        signal.signal(signal.SIGTERM, end)


SHUTDOWN: Final = Shutdown()
