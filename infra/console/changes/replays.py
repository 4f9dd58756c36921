"""Replays of rejected events in the background: one at a time, each after a dry run of the same events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from infra.console.changes.publishing import load_publisher
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.model import Contract
from shared.errors import SluiceError

if TYPE_CHECKING:
    from infra.batch.replay import Replay

_log = logging.getLogger(__name__)

# Seconds until a replay ends unfinished. A repetition continues with the events that are left.
_DEADLINE = 900.0


@dataclass(slots=True, eq=False)
class ReplayRun:
    """A replay or a dry run, running or ended.

    Attributes:
        day: the day of first publication of its events.
        rule: the rule that they broke; "" for any.
        dry_run: whether it only counts.
        replay: the counts so far; None before the first event.
        error: why it ended early; "" otherwise.
        is_running: whether it hasn't ended.
    """

    day: date
    rule: str
    dry_run: bool
    replay: Replay | None = None
    error: str = ""
    is_running: bool = True

    @property
    def title(self) -> str:
        """What it does, as the beginning of a sentence."""
        return f"{'Dry run' if self.dry_run else 'Replay'} of {self.day}, {self.rule or 'all rules'}"

    @property
    def permits_replay(self) -> bool:
        """Whether it is a dry run that has finished, and found events that pass."""
        finished = self.dry_run and not self.is_running and not self.error
        return finished and self.replay is not None and self.replay.passing > 0

    def is_like(self, other: ReplayRun) -> bool:
        """Return whether both do the same with the same events."""
        return (self.day, self.rule, self.dry_run) == (other.day, other.rule, other.dry_run)


class Replays:
    """Runs one replay at a time.

    Attributes:
        latest: the last one started; None without one.
    """

    def __init__(self, execute: Callable[[ReplayRun], Awaitable[None]]) -> None:
        """Prepare without a task; `execute` does the work of a run and sets its counts."""
        self._execute = execute
        self._task: asyncio.Task[None] | None = None
        self.latest: ReplayRun | None = None

    def start(self, run: ReplayRun) -> None:
        """Start a run in the background; a form that is sent twice starts it once.

        Raises:
            HTTPException: 409 while another one runs, and for a replay without a dry run of the same events.
        """
        latest = self.latest
        if latest and latest.is_running:
            if latest.is_like(run):
                return
            raise HTTPException(409, f"{run.title}: found another one running ({latest.title}), expected none")
        if not run.dry_run:
            if latest and latest.is_like(run):
                return
            if not (latest and latest.permits_replay and (latest.day, latest.rule) == (run.day, run.rule)):
                raise HTTPException(409, f"{run.title}: found no dry run of it, expected one with events that pass")
        self.latest = run
        self._task = asyncio.create_task(self._run(run))

    async def stop(self) -> None:
        """End the running one, if any, and wait for its end. A repetition continues with the events that are left."""
        if self._task and self.latest and self.latest.is_running:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, run: ReplayRun) -> None:
        try:
            async with asyncio.timeout(_DEADLINE) as deadline:
                await self._execute(run)
        except asyncio.CancelledError:
            run.error = "stopped before its end"
            raise
        except SluiceError as error:
            run.error = str(error)
        except Exception as error:  # no error may leave the page without an outcome
            if deadline.expired():
                run.error = f"stopped after {_DEADLINE:g} s, before its end"
            else:
                _log.exception("%s", run.title)
                run.error = f"unexpected error: {error!r}"
        finally:
            run.is_running = False


async def replay_events(settings: Settings, contract: Contract, run: ReplayRun) -> None:
    """Replay the events of a run, or count them.

    Raises:
        SluiceError: the settings are invalid, or Bigtable or Pub/Sub refuses a call or doesn't answer.
    """
    settings.emulated("bigtable", "pubsub")
    await load_publisher(settings)
    from infra.batch.replay import Replay, replay_rejected
    from shared.pubsub.publisher import Publisher

    run.replay = Replay()
    async with Bigtable(settings) as bigtable, Publisher(settings) as publisher:
        await replay_rejected(
            bigtable,
            publisher,
            contract,
            day=run.day,
            rule=run.rule or None,
            dry_run=run.dry_run,
            replay=run.replay,
        )
