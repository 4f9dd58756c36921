"""Test a deployment with one event: publish it, wait until the function has stored it, compare it, and remove it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta

import msgspec
from google.pubsub_v1.types import PubsubMessage

from infra.batch.replay import stored_events
from infra.batch.smoke_event import SmokeEvent
from shared import row_keys
from shared.bigtable.client import EVENTS, REJECTED, Bigtable
from shared.bigtable.mutations import Mutations
from shared.pubsub.message import CONTENT_TYPE, LINES
from shared.pubsub.publisher import Publisher
from shared.tables.events import FAMILY, FINDINGS
from shared.validation.results import Finding

_POLL_INTERVAL = 0.2  # seconds
_MAX_SHOWN = 500  # characters of a stored event in a text


class SmokeResult(msgspec.Struct):
    """The result of a smoke test.

    Attributes:
        event_id: of the event.
        user: of the event.
        seconds: from the publication until the event was found, or until the test gave up.
        stored: whether the event was found in `events`.
        problem: why the test failed, empty if it succeeded.
    """

    event_id: str
    user: str
    seconds: float = 0.0
    stored: bool = False
    problem: str = ""


async def smoke_test(
    bigtable: Bigtable, publisher: Publisher, event: SmokeEvent, *, topic: str, timeout: float, next_steps: str
) -> SmokeResult:
    """Publish an event, wait until it is stored, compare it with its canonical form, and remove what was stored.

    Args:
        bigtable: the instance with the tables.
        publisher: publishes to the topics of the project.
        event: the event.
        topic: the short name of the topic.
        timeout: seconds to wait for the function.
        next_steps: what to look at if the event isn't stored, for the text of the problem.
    """
    result = SmokeResult(event.id, event.user)
    if await _stored_value(bigtable, event) is not None:
        result.problem = f"an event {event.id} of user {event.user} exists already; nothing was published"
        return result
    days = {datetime.now(UTC).date()}
    started = time.monotonic()
    await publisher.publish(topic, [PubsubMessage(data=event.raw, attributes={CONTENT_TYPE: LINES})])
    try:
        while True:
            days.add((datetime.now(UTC) + timedelta(minutes=1)).date())  # Pub/Sub's clock may differ
            value = await _stored_value(bigtable, event)
            findings = None if value is not None else await _findings(bigtable, event, days)
            result.seconds = round(time.monotonic() - started, 3)
            if value is not None or findings is not None or result.seconds >= timeout:
                break
            await asyncio.sleep(_POLL_INTERVAL)
    finally:
        await _remove(bigtable, event, days)
    result.stored = value is not None
    result.problem = _problem(event, value, findings, timeout, next_steps)
    return result


def _problem(
    event: SmokeEvent, value: bytes | None, findings: list[Finding] | None, timeout: float, next_steps: str
) -> str:
    name = f"the event {event.id} of user {event.user}"
    if findings is not None:
        texts = (f"{each.field or 'event'}: found {each.found}, expected {each.expected}" for each in findings)
        return f"{name} was rejected, so the function has another contract: {'; '.join(texts)}"
    if value is None:
        return f"{name} was not stored within {timeout:g} s; {next_steps}. If it is stored later, it stays"
    if value != event.verdict.value:
        found, expected = (
            text[:_MAX_SHOWN].decode("utf-8", "backslashreplace") for text in (value, event.verdict.value)
        )
        return (
            f"{name} was stored with another body, so the function has another contract: "
            f"found {found}, expected {expected}"
        )
    return ""


async def _stored_value(bigtable: Bigtable, event: SmokeEvent) -> bytes | None:
    stored = await stored_events(bigtable, [event.verdict])
    return stored.get(event.verdict.cell_key[:2])


async def _findings(bigtable: Bigtable, event: SmokeEvent, days: set[date]) -> list[Finding] | None:
    """Return the findings of the event if it was rejected on one of the days, otherwise None."""
    for day in days:
        row = await bigtable.row(REJECTED, row_keys.rejected_row(event.raw, day))
        if row is not None:
            cells = {cell.qualifier: cell.value for cell in row.cells}
            return msgspec.json.decode(cells.get(b"findings", b"[]"), type=list[Finding])
    return None


async def _remove(bigtable: Bigtable, event: SmokeEvent, days: set[date]) -> None:
    """Remove the event's cells from `events`, and its rows from `rejected`."""
    row_key, qualifier, _ = event.verdict.cell_key
    mutations = Mutations()
    for family in (FAMILY, FINDINGS):
        mutations.delete_cells(row_key, family, qualifier)
    await bigtable.write(EVENTS, mutations)
    mutations = Mutations()
    for day in days:
        mutations.delete_row(row_keys.rejected_row(event.raw, day))
    await bigtable.write(REJECTED, mutations)
