"""The Starlette application: routes, error pages, and the life of the connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from infra.console.changes.replays import Replays, replay_events
from infra.console.flow.history import FlowFeed
from infra.console.flow.messages import LastMessages
from infra.console.pages import contract, contract_trial, days, explore, flow, rejected, replay, schedule, user
from infra.console.rendering import page
from infra.console.security import LocalOnly
from infra.console.tables import Tables
from shared.config import Settings
from shared.errors import SluiceError


def create_app(settings: Settings, *, allow_changes: bool = False) -> Starlette:
    """Return the console of a pipeline.

    Args:
        settings: of the pipeline.
        allow_changes: whether its pages may change something, such as request the computation of a day.

    Raises:
        ContractError: the contract of the settings is invalid.
    """
    tables = Tables(settings)
    replays = Replays(partial(replay_events, settings, tables.contract))
    messages = LastMessages(settings, tables.contract)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await replays.stop()
        await tables.close()
        await messages.close()

    app = Starlette(
        routes=[
            Route("/", _home),
            Route("/days", days.show),
            Route("/days/request", days.compute, methods=["POST"]),
            Route("/user", user.show),
            Route("/rejected", rejected.show),
            Route("/rejected/dry-run", replay.dry_run, methods=["POST"]),
            Route("/rejected/replay", replay.show),
            Route("/rejected/replay", replay.replay, methods=["POST"]),
            Route("/rejected/replay/stop", replay.stop, methods=["POST"]),
            Route("/rejected/try", contract_trial.show),
            Route("/rejected/try", contract_trial.validate, methods=["POST"]),
            Route("/contract", contract.show),
            Route("/contract", contract.validate, methods=["POST"]),
            Route("/schedule", schedule.show),
            Route("/schedule/run", schedule.run, methods=["POST"]),
            Route("/explore", explore.show),
            Route("/flow", flow.show),
            Route("/flow/events", flow.stream),
            Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
        ],
        middleware=[Middleware(LocalOnly)],
        exception_handlers={HTTPException: _show_http_error, SluiceError: _show_error},
        lifespan=lifespan,
    )
    app.state.tables = tables
    app.state.replays = replays
    app.state.allow_changes = allow_changes
    app.state.flow = FlowFeed(partial(flow.find_stack, settings), messages.read)
    return app


async def _home(_request: Request) -> Response:
    return RedirectResponse("/days")


async def _show_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - tells the type checker what Starlette passes
    return page(request, "error.html", status=error.status_code, text=error.detail)


async def _show_error(request: Request, error: Exception) -> Response:
    return page(request, "error.html", status=503, text=str(error))
