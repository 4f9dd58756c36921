"""The page *Flow*: events and deliveries a second of the running local stack, live."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from infra.console.charts import bar_chart
from infra.console.flow_history import Flow, FlowFeed, FlowHistory
from infra.console.rendering import page, render
from infra.local.stack_file import StackFile
from infra.local.stats import StackCountsReader
from shared.config import Settings


def find_stack(settings: Settings) -> StackCountsReader | None:
    """Return the reader of the counts of the local stack that the settings name; None if it doesn't run."""
    stack = StackFile.find(settings.bigtable_emulator) if settings.bigtable_emulator else None
    return stack.reader() if stack and stack.environment.get("GCP_PROJECT_ID") == settings.project_id else None


async def show(request: Request) -> Response:
    """Show the current state; a script keeps it up to date, or the browser reloads the page without scripts."""
    return page(request, "flow.html", **_values(await _feed(request).read()))


async def stream(request: Request) -> Response:
    """Send the live part of the page about once a second as server-sent events."""
    return StreamingResponse(events(_feed(request)), media_type="text/event-stream")


async def events(feed: FlowFeed) -> AsyncGenerator[str]:
    """Yield a server-sent event with the live part as HTML for each sample."""
    async for history in feed.follow():
        html = render("flow_live.html", **_values(history))
        yield "".join(f"data: {line}\n" for line in html.split("\n")) + "\n"


def _feed(request: Request) -> FlowFeed:
    feed: FlowFeed = request.app.state.flow
    return feed


def _values(history: FlowHistory | None) -> dict[str, Any]:
    if history is None:
        return {"has_stack": False}
    rates = history.rates
    total, rate = history.total, rates[-1] if rates else Flow(0, 0, 0, 0, 0)
    return {
        "has_stack": True,
        "rows": [
            ("Events stored", rate.stored, total.stored),
            ("Duplicates among them", rate.duplicate, total.duplicate),
            ("Events rejected", rate.rejected, total.rejected),
            ("Messages delivered", rate.delivered, total.delivered),
            ("Deliveries failed", rate.failed, total.failed),
        ],
        "chart": bar_chart([each.stored for each in rates], [each.rejected for each in rates]),
        "ages": [f"{len(rates) - 1 - number} s ago" for number in range(len(rates))],
        "days": history.counts.days,
        "problems": list(history.problems),
        "severities": sorted(history.counts.problems.items()),
    }
