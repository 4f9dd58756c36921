"""Settings of Python's cyclic garbage collector for a process that handles a stream of events."""

from __future__ import annotations

import gc

# Allocations less deallocations before a collection; Python's default is 700. Events form no cycles, and reading a file
# keeps tens of thousands of objects alive.
_THRESHOLD = 200_000


def apply() -> None:
    """Make collections rare, and exclude the objects that exist now: modules, contract and connection.

    With Python's defaults, collections take a tenth of an event's time. Objects outside of cycles, such as those of an
    event, are freed without the collector.
    """
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
