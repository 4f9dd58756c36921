"""Python's collector of reference cycles, told what a process is like that takes in one event after the other."""

from __future__ import annotations

import gc

# Objects made and not freed until it looks for cycles; by default 700. Events make none, and of a
# file tens of thousands are under way.
_THRESHOLD = 200_000


def apply() -> None:
    """Let the collector look seldom, and never again at what is there now: modules, contract, connection.

    Left as it is, it takes a tenth of an event's time. What isn't part of a cycle, such as all that events become, is
    freed without it.
    """
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
