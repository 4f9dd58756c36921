"""A progress bar on a terminal: what was done, how fast, how long still; nothing at all in a pipe."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_REDRAWS_A_SECOND = 8


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
