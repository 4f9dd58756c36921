"""The stages of an event's path without a network, for profilers and instruction counts.

`python -m tests.bench.stages process 100000 --in-flight 64` prints the CPU time of an event. `tests.bench.instructions`
counts the instructions of each stage.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import cycle, islice

from shared import gc_tuning
from shared.bigtable.batcher import Send
from shared.bigtable.cell_entries import cell_entries
from shared.bigtable.client import Bigtable
from shared.bigtable.mutations import Entry
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import Message, receive_json, unpack
from shared.validation.validator import Validator
from tests.bench import events

# `process` is a whole message: all stages but `receive`, with flow control and batching.
STAGES = ("receive", "unpack", "validate", "entries", "process")
# Events of a message, and different messages: the processor's cache wouldn't miss with one message.
PACKED, _MESSAGES = 100, 600


def microseconds(stage: str, count: int, in_flight: int = 1) -> float:
    """Run a stage for a number of events; return the microseconds of CPU time that an event takes.

    Args:
        stage: one of `STAGES`.
        count: events, in messages of `PACKED`.
        in_flight: messages that `process` has at once.
    """
    bodies = list(events.posts(events.lines(_MESSAGES * PACKED), packed=PACKED))
    messages = [message for message in map(receive_json, bodies) if message]
    gc_tuning.apply()
    if stage == "process":
        seconds = asyncio.run(_process(messages, count // PACKED, in_flight))
    else:
        calls = _calls(stage, bodies, messages)
        started = time.process_time()
        for call in islice(cycle(calls), count // PACKED):
            call()
        seconds = time.process_time() - started
    return seconds / max(count, 1) * 1e6


def _calls(stage: str, bodies: Sequence[bytes], messages: Sequence[Message]) -> list[Callable[[], object]]:
    """Return a call for each message that runs one stage."""
    raws, times = list(map(unpack, messages)), [datetime.now(UTC)] * PACKED
    validator = Validator(load_contract(DEFAULT_CONTRACT))
    validator.validate_all(raws[0], times)  # learns the field that isn't in the contract
    if stage == "receive":
        return [partial(receive_json, body) for body in bodies]
    if stage == "unpack":
        return [partial(unpack, message) for message in messages]
    if stage == "validate":
        return [partial(validator.accept_all, each, times) for each in raws]
    accepted = [validator.accept_all(each, times).columns for each in raws]
    return [partial(cell_entries, "e", *columns[:4]) for columns in accepted]


async def _process(messages: Sequence[Message], count: int, in_flight: int) -> float:
    """Process messages; return the seconds of CPU time."""
    pipeline = IngestPipeline(_AcknowledgingBigtable(Settings("p", "i")), load_contract(DEFAULT_CONTRACT))
    pipeline._layout.verified = True
    remaining = islice(cycle(messages), count)

    async def work() -> None:
        for message in remaining:
            await pipeline.process(message)

    started = time.process_time()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    return time.process_time() - started


class _AcknowledgingBigtable(Bigtable):
    """Acknowledges each write in the next turn of the event loop."""

    def _send(self, table: str) -> Send:
        async def send(entries: Sequence[Entry], timeout: float) -> list[Exception | None]:
            await asyncio.sleep(0)
            b"".join([entry.wire for entry in entries])
            return [None] * len(entries)

        return send


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("count", type=int, help="events")
    parser.add_argument("--in-flight", type=int, default=1, help="messages that `process` has at once")
    arguments = parser.parse_args()
    found = microseconds(arguments.stage, arguments.count, arguments.in_flight)
    print(f"{arguments.stage}: {found:.2f} µs of CPU an event")
