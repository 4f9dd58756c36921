"""The worker process that computes measures: `python -m shared.aggregate.rollup_worker`.

It reads request frames from standard input and writes a response frame for each to standard output. A frame is a length
in four bytes followed by that many bytes. The first frame is the `Plan` and has no response. The response to a `Batch`
has the measures by user. The response to an empty frame has further measures of the other dimensions, none at the end.
"""

from __future__ import annotations

import signal
import sys
from itertools import islice
from typing import BinaryIO

import msgspec

from shared import gc_tuning
from shared.aggregate.rollup import DayRollup
from shared.contracts.model import Aggregate

# Values of the other dimensions in one response.
MAX_VALUES_PER_RESPONSE = 2_000
LENGTH_BYTES = 4


class Plan(msgspec.Struct, frozen=True):
    """The arguments of `DayRollup`."""

    user: str
    aggregates: tuple[Aggregate, ...]


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """The arguments of `DayRollup.measure`."""

    events: bytes
    counts: list[int]


def main() -> None:
    """Respond to request frames until the end of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C also reaches the parent, which ends this process
    gc_tuning.apply()
    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    plan = msgspec.msgpack.decode(_read_frame(requests) or b"", type=Plan)
    rollup = DayRollup(plan.user, plan.aggregates)
    remaining = rollup.finish()
    decode, encode = msgspec.msgpack.Decoder(Batch).decode, msgspec.json.Encoder().encode
    while (frame := _read_frame(requests)) is not None:
        if frame:
            batch = decode(frame)
            measured = rollup.measure(batch.events, batch.counts)
        else:
            measured = list(islice(remaining, MAX_VALUES_PER_RESPONSE))
        responses.write(encode_frame(encode(measured)))
        responses.flush()


def encode_frame(data: bytes) -> bytes:
    """Return a frame with this content."""
    return len(data).to_bytes(LENGTH_BYTES) + data


def _read_frame(stream: BinaryIO) -> bytes | None:
    """Return the content of the next frame; None at the end of the input."""
    length = stream.read(LENGTH_BYTES)
    return stream.read(int.from_bytes(length)) if len(length) == LENGTH_BYTES else None


if __name__ == "__main__":
    main()
