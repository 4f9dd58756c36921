"""The page *Flow*: rates, latency, backlog and the last messages of the running local stack, live."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from infra.console.charts import bar_chart
from infra.console.flow.history import SAMPLES, Flow, FlowFeed, FlowHistory
from infra.console.rendering import page, render
from infra.emulators.latency import latency_text
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
    nothing = Flow(0, 0, 0, 0, 0)
    found = history.rates
    total, rate = history.total, found[-1] if found else nothing
    rates = [nothing] * (SAMPLES - len(found)) + found  # as many bars from the start on: the page doesn't grow
    return {
        "has_stack": True,
        "rows": [
            ("Events stored", rate.stored, total.stored),
            ("Duplicates among them", rate.duplicate, total.duplicate),
            ("Events rejected", rate.rejected, total.rejected),
            ("Messages delivered", rate.delivered, total.delivered),
            ("Deliveries failed", rate.failed, total.failed),
        ],
        "deliveries": [
            ("Latency of half of the messages, from publication to storage", latency_text(history.latencies, 0.5)),
            ("Latency of 95 % of the messages", latency_text(history.latencies, 0.95)),
            ("Backlog: messages not acknowledged", _count_text(history.counts.backlog)),
            ("Dead letters", _count_text(history.counts.dead_letters)),
        ],
        "messages": history.messages,
        "chart": bar_chart([each.stored for each in rates], [each.rejected for each in rates]),
        "ages": [f"{SAMPLES - 1 - number} s ago" for number in range(SAMPLES)],
        "days": history.counts.days,
        "problems": list(history.problems),
        "severities": sorted(history.counts.problems.items()),
    }


def _count_text(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
