"""A progress bar on a terminal: what was done, how fast, how long still; nothing at all in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from infra.figures import Figures

_REDRAWS_A_SECOND = 8
# Seconds between lines in a pipe, as between those that a function logs.
_LINES_EVERY = 5.0


class Bar:
    """One line of progress; use it as a context manager."""

    def __init__(self, console: Console, title: str, total: int | None) -> None:
        """Prepare a bar.

        Args:
            console: where to draw; nothing is drawn unless it is a terminal.
            title: what is being done.
            total: what `done` will have reached in the end; None where nobody knows.
        """
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            refresh_per_second=_REDRAWS_A_SECOND,
        )
        self._task = self._progress.add_task(title, total=total, figures="")

    def begin(self, title: str, total: int | None) -> None:
        """Go on to another piece of work."""
        self._progress.reset(self._task, description=title, total=total, figures="")

    def update(self, done: int, events: int, **figures: int) -> None:
        """Show how far it is.

        Args:
            done: of the bar's total, usually bytes.
            events: taken in so far, for the rate.
            figures: to show by name.
        """
        elapsed = self._progress.tasks[0].elapsed or 0
        rate = f"{events / elapsed:,.0f}/s" if elapsed > 0.5 else ""
        text = "  ".join([*(f"{name} {figure:,}" for name, figure in figures.items()), rate])
        self._progress.update(self._task, completed=done, figures=text)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


@contextmanager
def show_figures(console: Console | None = None) -> Iterator[Callable[[Figures], None]]:
    """Return what shows figures: in place on a terminal, in a pipe as lines, when they have changed."""
    console = console or Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:

            def draw(figures: Figures) -> None:
                text = "\n".join(f"{what:<20} {line}" for what, line in figures.lines().items())
                live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)

            yield draw
        return
    told, told_at = Figures().lines(), 0.0

    def write(figures: Figures) -> None:
        nonlocal told, told_at
        lines = figures.lines()
        if lines != told and time.monotonic() - told_at >= _LINES_EVERY:
            changed = [f"{what}: {line}" for what, line in lines.items() if line != told.get(what)]
            print("\n".join(changed), flush=True)
            told, told_at = lines, time.monotonic()

    yield write
