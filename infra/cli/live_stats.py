"""The counts that `sluice up` shows while the stack runs: in place on a terminal, as lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from infra.local.stats import StackCounts

_MIN_INTERVAL = 5.0  # seconds between lines in a pipe; the functions log at the same interval


@contextmanager
def show_live_stats(console: Console | None = None) -> Iterator[Callable[[StackCounts], None]]:
    """Yield a function that shows stats: redrawn on a terminal, or as lines of changed counts in a pipe."""
    console = console or Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:

            def draw(stats: StackCounts) -> None:
                text = "\n".join(f"{what:<20} {line}" for what, line in stats.lines().items())
                live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)

            yield draw
        return
    printed, printed_at = StackCounts().lines(), 0.0

    def write(stats: StackCounts) -> None:
        nonlocal printed, printed_at
        lines = stats.lines()
        if lines != printed and time.monotonic() - printed_at >= _MIN_INTERVAL:
            changed = [f"{what}: {line}" for what, line in lines.items() if line != printed.get(what)]
            print("\n".join(changed), flush=True)
            printed, printed_at = lines, time.monotonic()

    yield write
