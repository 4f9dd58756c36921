"""The page *User*: the events of a user, newest first, each with its cell."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from infra.console import query
from infra.console.rendering import page
from infra.console.tables import tables_of
from infra.console.text import shown
from shared import row_keys
from shared.bigtable.row_merger import Cell
from shared.tables.events import Position
from shared.timestamps import EPOCH, MICROSECONDS_PER_DAY, format_day, parse_day

_EVENTS = 50
_CURSOR = re.compile(r"(\d{8})#(\d{11}#[\x21-\x7e]+)", re.ASCII)


class Event(NamedTuple):
    """One event of the timeline: its time, its JSON, and its cell."""

    time: datetime
    json: str
    row_key: str
    qualifier: str
    timestamp: datetime


async def show(request: Request) -> Response:
    """Show the events of the parameter `user` up to the day `until`, or those that follow the cursor `after`."""
    tables = tables_of(request)
    user = request.query_params.get("user", "")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)  # includes events of producers whose clocks are ahead
    until = query.day(request, "until", tomorrow)
    end, after = _midnight(until + timedelta(days=1)), _cursor(request)
    lookback = tables.settings.lookback_days
    cells = await tables.events.cells_of_user(user, None, end, _EVENTS, lookback, after) if user else []
    events = [_event(user, cell, tables.contract.bucket) for cell in cells]
    older = earlier = ""
    if len(cells) == _EVENTS:
        older = _address(user, until, after=_cursor_of(cells[-1]))
    elif end - EPOCH > timedelta(days=lookback):
        earlier = _address(user, (end - timedelta(days=lookback, microseconds=1)).date())
    return page(
        request,
        "user.html",
        user=user,
        until=until,
        events=events,
        older=older,
        earlier=earlier,
        lookback=lookback,
        end=end,
        is_first=not after,
    )


def _event(user: str, cell: Cell, bucket: row_keys.Bucket) -> Event:
    time = row_keys.time_of_cell(_day(cell), cell.qualifier)
    encoded_id = cell.qualifier.partition(b"#")[2].decode()
    cell_key = row_keys.cell_key_of(user, encoded_id, time, bucket)
    timestamp = EPOCH + timedelta(microseconds=cell.micros)
    return Event(time, shown(cell.value), cell_key.row_key.decode(), cell.qualifier.decode(), timestamp)


def _day(cell: Cell) -> date:
    return (EPOCH + timedelta(microseconds=cell.micros)).date()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _cursor_of(cell: Cell) -> str:
    return f"{format_day(_day(cell))}#{cell.qualifier.decode()}"


def _cursor(request: Request) -> Position | None:
    """Return the position of the parameter `after`; HTTPException 400 if it is invalid."""
    text = request.query_params.get("after", "")
    if not text:
        return None
    match = _CURSOR.fullmatch(text)
    try:
        if match is None or int(match[2][:11]) >= MICROSECONDS_PER_DAY:
            raise ValueError
        return Position((parse_day(match[1]) - EPOCH.date()).days, match[2].encode())
    except ValueError:
        raise HTTPException(400, f"after: found {text[:80]!r}, expected the cursor of a link of this page") from None


def _address(user: str, until: date, **more: str) -> str:
    return f"/user?{urlencode({'user': user, 'until': until, **more}, errors='replace')}"
