"""The page *Replay*: a dry run of rejected events, then the replay, with their progress and outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infra.console import query
from infra.console.changes import change
from infra.console.changes.replays import ReplayRun, Replays
from infra.console.rendering import page
from shared.validation.results import Rule

PATH = "/rejected/replay"


async def show(request: Request) -> Response:
    """Show the last dry run or replay."""
    run = _replays(request).latest
    lines = list(run.replay.lines("rejected events", dry_run=run.dry_run)) if run and run.replay else []
    return page(request, "replay.html", run=run, lines=lines)


async def dry_run(request: Request) -> Response:
    """Start a dry run of the events of `day` that broke `rule`. It changes nothing, so every console allows it."""
    _replays(request).start(_run_of(request, dry_run=True))
    return RedirectResponse(PATH, 303)


@change
async def replay(request: Request) -> Response:
    """Start the replay of the events of `day` that broke `rule`."""
    _replays(request).start(_run_of(request, dry_run=False))
    return RedirectResponse(PATH, 303)


async def stop(request: Request) -> Response:
    """End the running dry run or replay."""
    await _replays(request).stop()
    return RedirectResponse(PATH, 303)


def _run_of(request: Request, *, dry_run: bool) -> ReplayRun:
    day = query.day(request, "day", datetime.now(UTC).date())
    return ReplayRun(day, query.choice(request, "rule", list(get_args(Rule)), ""), dry_run)


def _replays(request: Request) -> Replays:
    replays: Replays = request.app.state.replays
    return replays
