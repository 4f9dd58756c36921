"""The process that measures a day's events while another one reads them: `python -m shared.aggregate.rollup_worker`.

It takes frames and answers each with one; a frame is its length in four bytes and as many bytes behind them. The first
is the plan. One with events, of whole users, is answered with what is measured by the user; an empty one with some of
what is measured by anything else, or with an empty list when that was all.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import msgspec

from shared import gc_tuning
from shared.aggregate.rollup import DayRollup
from shared.contracts.model import Aggregate

# ValueMeasures of the other dimensions in one frame.
_TOGETHER = 2_000
LENGTH = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured of a day."""

    user: str
    aggregates: tuple[Aggregate, ...]


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Events of whole users, as `DayRollup.measure` takes them."""

    events: bytes
    counts: list[int]


def main() -> None:
    """Answer frames until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the reading process ends this one
    gc_tuning.apply()
    take, answer = sys.stdin.buffer, sys.stdout.buffer
    plan = msgspec.msgpack.decode(_frame(take) or b"", type=Plan)
    rollup = DayRollup(plan.user, plan.aggregates)
    rest = rollup.finish()
    decode, encode = msgspec.msgpack.Decoder(Batch).decode, msgspec.json.Encoder().encode
    while (frame := _frame(take)) is not None:
        if frame:
            batch = decode(frame)
            figures = rollup.measure(batch.events, batch.counts)
        else:
            figures = list(islice(rest, _TOGETHER))
        answer.write(frame_of(encode(figures)))
        answer.flush()


def frame_of(data: bytes) -> bytes:
    """Return a frame."""
    return len(data).to_bytes(LENGTH) + data


def _frame(stream: BinaryIO) -> bytes | None:
    """Return the next frame; None if there is no more."""
    length = stream.read(LENGTH)
    return stream.read(int.from_bytes(length)) if len(length) == LENGTH else None


if __name__ == "__main__":
    main()
