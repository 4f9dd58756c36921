"""Micro-batching: validates the small messages that arrive in one turn of the event loop in one pass."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from shared.pubsub.message import CONTENT_ENCODING, Message, unpack
from shared.tables.events import EventsTable, StoreRequest
from shared.validation.results import Accepted, Verdict
from shared.validation.validator import Validator

# Bytes and newlines of a small message.
_MAX_SMALL_BYTES, _MAX_SMALL_LINES = 4 * 1024, 16


class Validated(NamedTuple):
    """The verdicts of one message, and whether all its events are accepted and stored."""

    verdicts: list[Verdict]
    stored: bool


class MicroBatch:
    """Validates and stores small messages together; no message waits for others to arrive or to be stored."""

    def __init__(self, validator: Validator, events: EventsTable) -> None:
        self._validator = validator
        self._events = events
        self._pending: list[tuple[Message, asyncio.Future[Validated]]] = []

    async def submit(self, message: Message) -> Validated:
        """Validate a small message and store its events if all of them are accepted.

        Raises:
            TransientError, PermanentError: the events aren't stored.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Validated] = loop.create_future()
        self._pending.append((message, done))
        if len(self._pending) == 1:
            loop.call_soon(self._flush)
        return await done

    def _flush(self) -> None:
        batch, self._pending = self._pending, []
        try:
            self._process(batch)
        except Exception as error:  # every caller gets it
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)

    def _process(self, batch: Sequence[tuple[Message, asyncio.Future[Validated]]]) -> None:
        """Validate the events of all messages in one pass and begin to store those of the valid messages.

        Each caller waits for its own events only. A message with a rejected event is left to its caller.
        """
        unpacked = [unpack(message) for message, _ in batch]  # never raises: `is_small` excludes gzip and problems
        raws = [raw for events in unpacked for raw in events]
        published = [message.published for (message, _), events in zip(batch, unpacked, strict=True) for _ in events]
        results = iter(self._validator.validate_all(raws, published))
        requests: list[StoreRequest[Validated]] = []
        for (_, done), events in zip(batch, unpacked, strict=True):
            verdicts = list(islice(results, len(events)))
            accepted = [verdict for verdict in verdicts if type(verdict) is Accepted]
            if done.done():
                continue  # its request was cancelled
            if len(accepted) < len(verdicts):
                done.set_result(Validated(verdicts, stored=False))
                continue
            requests.append((accepted, done, Validated(verdicts, stored=True)))
        self._events.begin_store(requests)


def is_small(message: Message) -> bool:
    """Return whether a message holds a few plain events; a small gzip or array may hold thousands."""
    data = message.data
    if len(data) > _MAX_SMALL_BYTES or not data.startswith(b"{") or data.count(b"\n") > _MAX_SMALL_LINES:
        return False
    return message.problem is None and CONTENT_ENCODING not in message.attributes
