"""Erased users are gone from every table in every version, and everything of other users stays as it is."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from infra.erase.erasure import Eraser, Outcome
from infra.erase.event_rows import EventRows
from infra.erase.log import ErasureLog
from infra.erase.plan import first_whole_day, make_plan
from infra.erase.survey import Counts, Survey
from infra.erase.unreached import loaded_buckets
from infra.erase.users import Users
from infra.provision.bigtable import provision_bigtable
from infra.provision.resources import RESOURCES
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import AGGREGATES, EVENTS, REJECTED, STATE, Bigtable
from shared.bigtable.mutations import Mutations
from shared.config import Settings
from shared.contracts.loader import load_contract, parse_contract, parse_toml
from shared.contracts.model import Contract
from shared.errors import LayoutChangedError, StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.load_requests import ObjectVersion
from shared.row_keys import aggregate_row, encode, state_row
from shared.tables.aggregates import AggregatesTable
from shared.tables.loads import Load, LoadsTable
from shared.tables.run_writer import set_measures
from shared.tables.state import StateTable
from shared.timestamps import EPOCH, now
from tests.support.samples import MUSIC_CONTRACT, dump, lines, message, music_event

MUSIC = load_contract(MUSIC_CONTRACT)
DAYS = [date(2024, 1, day) for day in (15, 16, 17)]
PUBLISHED = datetime(2024, 1, 17, 23, tzinfo=UTC)
TABLES = (EVENTS, REJECTED, AGGREGATES, STATE)
OTHERS, ERASED = ["ann", "joeve", "evelyn"], ["eve", "zoë #1"]


def hourly() -> Contract:
    text = MUSIC_CONTRACT.read_text("utf-8").replace('bucket = "day"', 'bucket = "hour"')
    return parse_contract(parse_toml(text, "hourly.toml"), "hourly.toml")


def events_of(user: str) -> list[dict[str, Any]]:
    """Return events of a user on all days; one has a finding, and one is rejected."""
    events = [
        music_event(
            number, userId=user, timestamp=f"{DAYS[number % 3]}T{number:02d}:00:00.123456Z", songId=f"s{number}"
        )
        for number in range(6)
    ]
    return [
        *events,
        music_event(7, userId=user, timestamp=f"{DAYS[0]}T12:00:00Z", duration=90_000),
        music_event(8, userId=user, timestamp=f"{DAYS[0]}T13:00:00Z", event_type="dance"),
    ]


async def fill(bigtable: Bigtable, contract: Contract, users: list[str], *, runs: int = 2) -> None:
    """Store events of users, also rejected and unreadable ones, and compute all days."""
    pipeline = IngestPipeline(bigtable, contract)
    for user in users:
        unreadable = f'{{"userId": "{user}", '.encode()
        for data in (lines(events_of(user)), unreadable):
            await pipeline.process(message(data, published=PUBLISHED))
    for day in DAYS * runs:
        await AggregatePipeline(bigtable, contract, cpu=1.0).run(day)


async def erase(
    bigtable: Bigtable, contract: Contract, users: list[str], first_whole_day: date | None = None
) -> Outcome:
    erased = Users(contract, users)
    plan = await make_plan(bigtable, contract, erased, first_whole_day)
    return await Eraser(bigtable, contract, cpu=1.0, rows_per_write=3).erase(erased, plan)


def mentions(settings: Settings, user: str) -> list[bytes]:
    """Return the keys of the rows of all tables that have a user anywhere, in any version."""
    names = b"|".join(re.escape(text.encode()) for text in (user, encode(user)))
    found = re.compile(rb"(?<![A-Za-z0-9])(" + names + rb")(?![A-Za-z0-9])").search
    return [
        key
        for table in TABLES
        for key, columns in dump(settings, table).items()
        if found(key) or any(found(value) for versions in columns.values() for _, value in versions)
    ]


def measures(settings: Settings) -> dict[bytes, dict[tuple[str, bytes], list[bytes]]]:
    """Return the aggregates of all versions without their timestamps, which differ between runs."""
    return {
        key: {column: [value for _, value in versions] for column, versions in columns.items()}
        for key, columns in dump(settings, AGGREGATES).items()
    }


@pytest.mark.parametrize("contract", [MUSIC, hourly()], ids=["day", "hour"])
async def test_everything_of_the_users_is_gone_and_everything_else_is_as_without_them(
    bigtable: Bigtable, settings: Settings, other_settings: Settings, contract: Contract
) -> None:
    never_there = Bigtable(other_settings)
    await fill(never_there, contract, OTHERS, runs=1)
    await never_there.close()
    await fill(bigtable, contract, OTHERS + ERASED)
    assert all(mentions(settings, user) for user in ERASED)

    outcome = await erase(bigtable, contract, ERASED)

    assert (outcome.left, outcome.computed, outcome.erasure.finished is not None) == (Counts(), DAYS, True)
    assert [mentions(settings, user) for user in ERASED] == [[], []]
    assert dump(settings, EVENTS) == dump(other_settings, EVENTS)
    assert dump(settings, REJECTED) == dump(other_settings, REJECTED)
    assert measures(settings) == measures(other_settings)


async def test_a_dry_run_counts_and_changes_nothing(bigtable: Bigtable, settings: Settings) -> None:
    await fill(bigtable, MUSIC, OTHERS + ERASED, runs=1)
    before = [dump(settings, table) for table in TABLES]

    plan = await make_plan(bigtable, MUSIC, Users(MUSIC, ["eve"]), None)

    counts = plan.survey.counts
    assert (counts.rows, counts.events, counts.findings, counts.rejected, counts.aggregates) == (3, 7, 1, 2, 3)
    assert counts.cells > 3  # the states of all, of songs and of types of events
    assert (plan.marked, plan.computed) == (DAYS, DAYS)
    assert [dump(settings, table) for table in TABLES] == before


class MortalBigtable(Bigtable):
    """Fails at one of its writes and at all later ones, like a process that was killed before it."""

    def __init__(self, settings: Settings, dies_at: float) -> None:
        super().__init__(settings)
        self.writes = 0
        self.dies_at = dies_at

    async def write(self, table: str, mutations: Mutations) -> None:
        self.writes += 1
        if self.writes > self.dies_at:
            raise StoreUnavailableError("killed")
        await super().write(table, mutations)


@pytest.mark.slow
async def test_an_erasure_that_was_killed_before_any_of_its_writes_goes_on(
    bigtable: Bigtable, settings: Settings, other_settings: Settings
) -> None:
    day = DAYS[0]
    published = datetime(2024, 1, 15, 23, tzinfo=UTC)

    async def fill_day(bigtable: Bigtable, users: list[str]) -> None:
        for user in users:
            await IngestPipeline(bigtable, MUSIC).process(message(lines(events_of(user)[::3]), published=published))
        await AggregatePipeline(bigtable, MUSIC, cpu=1.0).run(day)

    never_there = Bigtable(other_settings)
    await fill_day(never_there, ["ann"])
    await never_there.close()
    expected = [dump(other_settings, EVENTS), dump(other_settings, REJECTED), measures(other_settings)]
    writes, dies_at = 1, 0
    while dies_at < writes:
        await fill_day(bigtable, ["ann", "eve"])
        mortal = MortalBigtable(settings, dies_at)
        with pytest.raises(StoreUnavailableError, match="killed"):
            await erase(mortal, MUSIC, ["eve"])
        await mortal.close()
        survivor = MortalBigtable(settings, math.inf)

        outcome = await erase(survivor, MUSIC, ["eve"])

        await survivor.close()
        assert (outcome.left, outcome.erasure.finished is not None) == (Counts(), True), dies_at
        assert [dump(settings, EVENTS), dump(settings, REJECTED), measures(settings)] == expected, dies_at
        assert [each for each in await ErasureLog(bigtable).read() if each.is_unfinished] == [], dies_at
        writes, dies_at = writes if dies_at else survivor.writes, dies_at + 1
    assert writes >= 12


async def test_the_days_of_an_interrupted_erasure_are_in_the_log_until_they_are_computed(
    bigtable: Bigtable, settings: Settings
) -> None:
    await fill(bigtable, MUSIC, ["ann", "eve"], runs=1)
    mortal = MortalBigtable(settings, 8)
    with pytest.raises(StoreUnavailableError, match="killed"):
        await erase(mortal, MUSIC, ["eve"])
    await mortal.close()
    (interrupted,) = await ErasureLog(bigtable).read()
    assert (interrupted.days, interrupted.is_unfinished, interrupted.counts.events) == (DAYS, True, 7)

    outcome = await erase(bigtable, MUSIC, ["eve"])

    first, second = await ErasureLog(bigtable).read()
    assert (first.continued_by, first.finished, second) == (outcome.erasure.id, None, outcome.erasure)
    assert outcome.computed == DAYS
    assert mentions(settings, "eve") == []


async def test_cells_that_no_run_replaces_are_removed(bigtable: Bigtable, settings: Settings) -> None:
    """Cells of a run that failed before its sweep, of a dimension of an earlier contract, and written by hand."""
    await fill(bigtable, MUSIC, ["ann", "eve"], runs=1)
    gone, other = aggregate_row("gone", DAYS[0], "eve"), aggregate_row("gone", DAYS[0], "ann")
    lists, old = aggregate_row("gone", DAYS[1], "x"), aggregate_row("all", DAYS[2], "all")
    stale = Mutations()
    set_measures(
        stale, 1_000, [(gone, {"n": 1}), (other, {"n": 1}), (lists, {"top": ["eve", "ann"]}), (old, {"top": "eve"})]
    )
    await bigtable.write(AGGREGATES, stale)
    table = AggregatesTable(bigtable, StateTable(bigtable))
    await table.write_by_hand("favourite", "listener", DAYS[0], {"name": "eve", "plays": 3})

    outcome = await erase(bigtable, MUSIC, ["eve"])

    assert (outcome.left, mentions(settings, "eve")) == (Counts(), [])
    assert await table.of_value("favourite", "listener", DAYS[0]) == {"plays": 3}
    assert other in dump(settings, AGGREGATES)


async def test_days_whose_events_have_expired_keep_their_measures_without_the_users(
    bigtable: Bigtable, settings: Settings
) -> None:
    await fill(bigtable, MUSIC, ["ann", "eve"], runs=1)
    table = AggregatesTable(bigtable, StateTable(bigtable))
    before = await table.of_value("all", "all", DAYS[0])

    outcome = await erase(bigtable, MUSIC, ["eve"], first_whole_day=DAYS[1])

    assert (outcome.left, outcome.computed, mentions(settings, "eve")) == (Counts(), DAYS[1:], [])
    assert await table.of_value("all", "all", DAYS[0]) == before
    assert (await table.of_value("all", "all", DAYS[1]))["active_users"] == 1
    assert await table.of_value("user", "eve", DAYS[0]) == {}


async def test_a_day_without_a_run_is_marked_and_not_computed(bigtable: Bigtable, settings: Settings) -> None:
    await fill(bigtable, MUSIC, ["ann", "eve"], runs=0)
    marks_of_late_events = Mutations()
    for day in DAYS:
        marks_of_late_events.delete_row(state_row("late", day))
    await bigtable.write(STATE, marks_of_late_events)

    outcome = await erase(bigtable, MUSIC, ["eve"])

    assert (outcome.left, outcome.computed, mentions(settings, "eve")) == (Counts(), [], [])
    assert await StateTable(bigtable).late_days() == DAYS
    assert dump(settings, AGGREGATES) == {}


async def test_an_event_that_arrives_during_the_erasure_is_reported(bigtable: Bigtable, settings: Settings) -> None:
    await fill(bigtable, MUSIC, ["eve"], runs=1)
    erased = Users(MUSIC, ["eve"])
    plan = await make_plan(bigtable, MUSIC, erased, None)
    late = music_event(9, userId="eve", timestamp=f"{DAYS[0]}T20:00:00Z")
    await IngestPipeline(bigtable, MUSIC).process(message(lines([late]), published=PUBLISHED))
    arrived = Survey(EventRows(), plan.survey.rejected, plan.survey.aggregates, [])

    outcome = await Eraser(bigtable, MUSIC, cpu=1.0).erase(erased, replace(plan, survey=arrived))

    assert (outcome.left.events, outcome.left.aggregates, outcome.erasure.finished) == (8, 3, None)
    assert (await erase(bigtable, MUSIC, ["eve"])).left == Counts()


async def test_a_contract_with_other_row_keys_is_refused(bigtable: Bigtable, settings: Settings) -> None:
    await fill(bigtable, MUSIC, ["ann"], runs=0)

    with pytest.raises(LayoutChangedError, match=r"hourly\.toml"):
        await make_plan(bigtable, hourly(), Users(hourly(), ["ann"]), None)


async def test_the_buckets_of_loaded_objects_are_found(bigtable: Bigtable) -> None:
    assert await loaded_buckets(bigtable) == []
    for bucket, name in (("more", "a.csv"), ("drop", "a.csv"), ("drop", "b.csv")):
        await LoadsTable(bigtable).begin(Load(ObjectVersion(bucket, name, 7), 300, EPOCH, EPOCH, [0]))

    assert await loaded_buckets(bigtable) == ["drop", "more"]


def test_the_retention_of_events_tells_the_first_whole_day(settings: Settings, empty_instance: Settings) -> None:
    provision_bigtable(empty_instance, RESOURCES.with_retention({"events": timedelta(days=30)}))

    found = first_whole_day(empty_instance)

    today = now().date()
    assert found in (today - timedelta(days=29), today - timedelta(days=30))  # midnight may pass
    assert first_whole_day(settings) is None
