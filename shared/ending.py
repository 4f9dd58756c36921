"""The end of an instance: what is still under way shortly before it would be killed is handed back instead."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from shared.errors import StoreUnavailableError

# Seconds between SIGTERM and handing back. Cloud Run kills 10 s after SIGTERM
# (https://cloud.google.com/run/docs/container-contract#instance-shutdown); the rest is for the answers.
GRACE = 7.0


class Ending:
    """Watches over the requests of one event loop."""

    def __init__(self, grace: float = GRACE) -> None:
        self._grace = grace
        self._requests: set[asyncio.Task[Any]] = set()
        self._handing_back = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch over the request that runs the block.

        Raises:
            StoreUnavailableError: the instance ends, and the block was called off.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is one
        self._requests.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._handing_back:
                raise
            task.uncancel()
            raise StoreUnavailableError("the instance ends before this is done") from None
        finally:
            self._requests.discard(task)

    def hand_back(self) -> None:
        """Call off all that is under way."""
        self._handing_back = True
        for task in self._requests:
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


ENDING: Final = Ending()
