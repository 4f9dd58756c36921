"""The page *Edited contract*: the verdicts that the rejected events of a day would get with another contract."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from infra.console import query
from infra.console.pages.rejected import read_sample
from infra.console.rendering import page
from infra.console.tables import tables_of
from infra.console.trial.forms import reading, text_of
from infra.console.trial.outcomes import MAX_SHOWN, Outcomes
from infra.console.trial.validation import MAX_SECONDS, in_thread, validate_rejected
from shared.errors import ContractError
from shared.validation.results import Rule


async def show(request: Request) -> Response:
    """Show the text of the contract in use, to edit."""
    return _page(request, tables_of(request).contract_text, None)


async def validate(request: Request) -> Response:
    """Show the verdicts on the rejected events of the day `day` with the contract of the form."""
    async with reading(request) as form:
        text = text_of(form, "contract")
    day, rule = _day_and_rule(request)
    events, is_complete = await read_sample(tables_of(request).rejected.of_day(day, rule=rule or None))
    try:
        outcomes = await in_thread(partial(validate_rejected, events, text))
    except ContractError as error:
        return _page(request, text, None, problem=str(error))
    return _page(request, text, outcomes, read=len(events), is_sample=not is_complete)


def _page(
    request: Request,
    text: str,
    outcomes: Outcomes | None,
    *,
    problem: str = "",
    read: int = 0,
    is_sample: bool = False,
) -> Response:
    day, rule = _day_and_rule(request)
    return page(
        request,
        "contract_trial.html",
        day=day,
        rule=rule,
        text=text,
        outcomes=outcomes,
        problem=problem,
        read=read,
        is_sample=is_sample,
        most=MAX_SHOWN,
        seconds=MAX_SECONDS,
    )


def _day_and_rule(request: Request) -> tuple[date, str]:
    day = query.day(request, "day", datetime.now(UTC).date())
    return day, query.choice(request, "rule", list(get_args(Rule)), "")
