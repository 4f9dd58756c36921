"""The plan of an erasure: what is removed, and which days are computed again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from infra.erase.log import Erasure, ErasureLog
from infra.erase.survey import Survey, make_survey
from infra.erase.users import Users
from infra.provision.bigtable import open_bigtable
from infra.provision.resources import RESOURCES
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.model import Contract
from shared.tables.layout import Layout
from shared.tables.state import StateTable
from shared.timestamps import now


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of an erasure.

    Attributes:
        survey: what is removed.
        marked: the days to mark: those of the users' events and rejected events, and of unfinished erasures.
        computed: those of the marked days that are computed again, since a run of them has begun or finished.
        expired: days that can't be computed again, because the retention of `events` has removed some of their events.
            Their measures stay, without the states that list users.
        unfinished: earlier erasures whose days may still have to be computed again.
    """

    survey: Survey
    marked: list[date]
    computed: list[date]
    expired: list[date]
    unfinished: list[Erasure]


async def make_plan(bigtable: Bigtable, contract: Contract, users: Users, first_whole_day: date | None) -> Plan:
    """Read everything that an erasure needs, without changing anything.

    Args:
        bigtable: the instance.
        contract: of the events.
        users: the users.
        first_whole_day: the first day whose events are all in `events`; None without a retention.

    Raises:
        LayoutChangedError: the contract gives users other row keys than the tables have.
    """
    await Layout(bigtable).check(contract)
    survey, erasures = await asyncio.gather(make_survey(bigtable, contract, users), ErasureLog(bigtable).read())
    unfinished = [each for each in erasures if each.is_unfinished]
    days = {*survey.events.days, *survey.rejected.days, *(day for each in unfinished for day in each.days)}
    expired = {day for day in days | survey.aggregates.days if first_whole_day and day < first_whole_day}
    marked = sorted(days - expired)
    computed = await days_with_runs(StateTable(bigtable), marked)
    return Plan(survey, marked, computed, sorted(expired), unfinished)


def first_whole_day(settings: Settings) -> date | None:
    """Return the first day whose events the retention of `events` has all kept; None without a retention.

    Raises:
        SettingsError: the caller may not read the table's settings.
        StoreUnavailableError: Bigtable doesn't answer.
    """
    with open_bigtable(settings, RESOURCES) as tables:
        age = tables.retention("events")
    return None if age is None else (now() - age).date() + timedelta(days=1)


async def days_with_runs(state: StateTable, days: Iterable[date]) -> list[date]:
    """Return those of some days that a run has computed, or begun to compute."""
    listed = sorted(days)
    if not listed:
        return []
    runs, begun = await asyncio.gather(state.runs(listed[0], listed[-1]), state.unfinished(listed[0], listed[-1]))
    return [day for day in listed if day in runs or day in begun]
