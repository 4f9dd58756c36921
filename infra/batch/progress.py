"""A progress bar with counts, rate and remaining time; drawn only on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_REDRAWS_PER_SECOND = 8


class Bar:
    """A progress bar of one line; use it as a context manager."""

    def __init__(self, console: Console, title: str, total: int | None) -> None:
        """Prepare a bar.

        Args:
            console: where to draw. Nothing is drawn unless it is a terminal.
            title: the name of the work.
            total: the value of `done` at the end; None if it is unknown.
        """
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            refresh_per_second=_REDRAWS_PER_SECOND,
        )
        self._task = self._progress.add_task(title, total=total, counts="")

    def begin(self, title: str, total: int | None) -> None:
        """Start the next piece of work, with another title and total."""
        self._progress.reset(self._task, description=title, total=total, counts="")

    def update(self, done: int, events: int, **counts: int) -> None:
        """Show the progress.

        Args:
            done: the part of `total` that is done, usually in bytes.
            events: the events processed so far, for the rate.
            counts: further counts to show, by name.
        """
        elapsed = self._progress.tasks[0].elapsed or 0
        rate = f"{events / elapsed:,.0f}/s" if elapsed > 0.5 else ""
        text = "  ".join([*(f"{name} {count:,}" for name, count in counts.items()), rate])
        self._progress.update(self._task, completed=done, counts=text)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
