"""A dead letter of `load`: what it requests, and the state of that load."""

from __future__ import annotations

from typing import Literal, NamedTuple

from google.pubsub_v1.types import PubsubMessage

from infra.batch.dead_letters.pulling import original_attributes
from shared.errors import RequestError
from shared.pubsub.load_requests import LoadRequest, parse
from shared.pubsub.message import Message
from shared.tables.loads import LoadState

# invalid: it can't be replayed. ignored: it announces another event than the creation of an object. The others are the
# state of the requested load or range. Only a request for one that is not_begun or loading has an effect.
Status = Literal["invalid", "ignored", "not_begun", "loading", "range_done", "finished", "failed"]


class LoadLetter(NamedTuple):
    """A dead letter of `load`.

    Attributes:
        message_id: the id of the dead letter.
        request: what it requests; None for nothing.
        state: the state of the object's load; None before it has begun.
        problem: what was found and expected of an invalid request; "" for a valid one.
    """

    message_id: str
    request: LoadRequest | None = None
    state: LoadState | None = None
    problem: str = ""

    @property
    def status(self) -> Status:
        """The state of the requested load or range."""
        if self.request is None:
            return "invalid" if self.problem else "ignored"
        if self.state is None:
            return "not_begun"
        if self.state.error:
            return "failed"
        if self.state.finished:
            return "finished"
        return "range_done" if self.request.start in self.state.done else "loading"

    @property
    def end(self) -> int | None:
        """The end (exclusive) of the requested range; None for a whole object, and for an unknown range."""
        if self.request is None or self.request.start is None or self.state is None:
            return None
        load = self.state.load
        return load.end_of(self.request.start) if self.request.start in load.starts else None

    def line(self) -> str:
        """Return what the message requests, and the state of that load."""
        if self.problem:
            return f"message {self.message_id} stays: {self.problem}"
        if self.request is None:
            return f"message {self.message_id}: found another event than the creation of an object; `load` ignores it"
        object, start = self.request
        end = "" if self.end is None else f" to {self.end}"
        requested = "" if start is None else f", from byte {start}{end}"
        return f"{object.uri}, generation {object.generation}{requested}: {self._describe_state()}"

    def _describe_state(self) -> str:
        if self.state is None:
            return "the load has not begun"
        if self.state.error:
            return f"the load has failed, and no request repeats it: {self.state.error}"
        if self.state.finished:
            return "the load is finished"
        done = f"{len(self.state.done):,} of {len(self.state.load.starts):,} ranges are done"
        return f"{done}, also this one" if self.status == "range_done" else done


def read_letter(message: PubsubMessage) -> LoadLetter:
    """Return what a dead letter requests, without the state of the load."""
    attributes = original_attributes(message.attributes)
    try:
        request = parse(Message(message.data, message.message_id, message.publish_time, attributes))
    except RequestError as error:
        return LoadLetter(message.message_id, problem=str(error))
    return LoadLetter(message.message_id, request)
