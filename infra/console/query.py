"""Reads the parameters of a page from its address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared.tables.state import Run

DAYS = 30  # of a page that shows days
_FIRST, _LAST = date(1970, 1, 1), date(9998, 12, 31)


def day(request: Request, name: str, default: date) -> date:
    """Return the day of a parameter; HTTPException 400 if it isn't one."""
    text = request.query_params.get(name, "")
    return parse_day(text, name) if text else default


def parse_day(text: str, name: str) -> date:
    """Return the day of a text; HTTPException 400, with the name of its parameter, if it isn't one."""
    try:
        found = msgspec.convert(text, date)
    except msgspec.ValidationError:
        found = date.min
    if not _FIRST <= found <= _LAST:
        raise HTTPException(400, f"{name}: found {text[:80]!r}, expected a day such as 2024-01-15")
    return found


def choice(request: Request, name: str, choices: list[str], default: str) -> str:
    """Return the value of a parameter that has few; HTTPException 400 if it is another one."""
    found = request.query_params.get(name) or default
    if found not in choices and found != default:
        raise HTTPException(400, f"{name}: found {found[:80]!r}, expected one of {', '.join(choices)}")
    return found


def newest_day(runs: Mapping[date, Run], today: date) -> date:
    """Return the day that a page shows by default: the newest computed one, `today` without any.

    If no day of the page would have events, it is the newest day that has some: the daily job also computes empty days.
    """
    newest = max(runs, default=today)
    with_events = max((day for day, run in runs.items() if run.events), default=newest)
    return newest if newest - with_events < timedelta(days=DAYS) else with_events
