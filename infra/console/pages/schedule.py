"""The page *Schedule*: the daily job as declared and as scheduled, the intraday job, and the runs of days."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infra.batch.report import partial_text
from infra.console import query
from infra.console.changes import change
from infra.console.rendering import page
from infra.console.tables import Tables, tables_of
from infra.console.text import shown
from infra.emulators.scheduler.cron import Cron, CronError
from infra.provision.resource_types import Job
from infra.provision.resources import ALL_RESOURCES, RESOURCES
from shared.config import Settings
from shared.errors import SettingsError, SluiceError
from shared.timestamps import EPOCH

if TYPE_CHECKING:
    from infra.provision.scheduler_client import ScheduledJob

_NEXT_RUNS, _PAST_RUNS = 5, 30
# Seconds until the page shows the rest without the scheduler.
_DEADLINE = 15.0
_NOTICES = {
    "published": "The job was run: it has published its request for yesterday, late days and missed days.",
    "unknown": "The job was run; its result isn't known yet.",
}


class Setting(NamedTuple):
    """One setting of the job: as declared, and as the scheduler has it."""

    title: str
    declared: str
    scheduled: str


class DayRun(NamedTuple):
    """A run of a day; `events` is None while it runs."""

    day: date
    start: datetime
    events: int | None
    state: str


async def show(request: Request) -> Response:
    """Show the job and the runs; `run` is the result of a run by hand."""
    tables = tables_of(request)
    notice = query.choice(request, "run", list(_NOTICES), "")
    declared = _declared_job(tables.settings)
    scheduled, problem = await _find(tables.settings)
    found = scheduled.get(declared.name)
    job = found.job if found else declared
    return page(
        request,
        "schedule.html",
        notice=_NOTICES.get(notice, ""),
        name=declared.name,
        found=found,
        scheduled=scheduled,
        problem=problem,
        settings_of_job=[
            Setting(title, text, scheduled)
            for (title, text), scheduled in zip(_texts(declared).items(), _texts(job).values(), strict=True)
        ],
        next_runs=_next_runs(job) if found is None or found.state == "ENABLED" else [],
        runs=await _runs(tables),
    )


@change
async def run(request: Request) -> Response:
    """Run the job now."""
    settings = tables_of(request).settings
    if reason := _no_scheduler(settings):
        raise SettingsError(reason)
    published = await asyncio.to_thread(_run_job, settings)
    return RedirectResponse(f"/schedule?run={'published' if published else 'unknown'}", 303)


async def _find(settings: Settings) -> tuple[dict[str, ScheduledJob], str]:
    """Return the jobs that the scheduler has by their names, and why the daily one is missing."""
    try:
        if reason := _no_scheduler(settings):
            return {}, reason
        async with asyncio.timeout(_DEADLINE):
            found = await asyncio.to_thread(_find_jobs, settings)
    except SluiceError as error:
        return {}, str(error)
    except TimeoutError:
        return {}, f"the scheduler doesn't answer within {_DEADLINE:g} s"
    name = _declared_job(settings).name
    return found, "" if name in found else f"job {name}: found none, expected it to exist; `sluice provision` makes it"


def _no_scheduler(settings: Settings) -> str:
    """Return why there is no scheduler, or ""; SettingsError if the settings mix emulators and Google Cloud."""
    if settings.emulated() and not settings.scheduler_emulator:
        return "found emulators of the other services without CLOUD_SCHEDULER_EMULATOR_HOST, expected its address"
    return ""


def _find_jobs(settings: Settings) -> dict[str, ScheduledJob]:
    # Google's client takes a second to import.
    from infra.provision import scheduler_client

    found = {job.name: scheduler_client.find_job(settings, job.name) for job in ALL_RESOURCES.jobs}
    return {settings.resource(name): job for name, job in found.items() if job}


def _run_job(settings: Settings) -> bool:
    from infra.provision import scheduler_client

    return scheduler_client.run_job(settings)


def _declared_job(settings: Settings) -> Job:
    [job] = RESOURCES.named(settings.name).jobs
    return job


def _texts(job: Job) -> dict[str, str]:
    """Return the settings of a job by their titles."""
    backoff = f"{job.minimum_backoff.total_seconds():g} to {job.maximum_backoff.total_seconds():g} s"
    limit = f", for at most {job.retry_for.total_seconds():g} s" if job.retry_for else ""
    return {
        "Schedule": job.schedule,
        "Time zone": job.time_zone,
        "Topic": job.topic,
        "Data": shown(job.data),
        "Retries": f"{job.retries}, after {backoff}, doubled {job.doublings} times{limit}",
    }


def _next_runs(job: Job) -> list[datetime]:
    """Return the next times of the job's schedule; none for one in words, which only Google's scheduler knows."""
    found: list[datetime] = []
    moment: datetime | None = datetime.now(UTC)
    try:
        cron = Cron(job.schedule, job.time_zone)
        while len(found) < _NEXT_RUNS and moment and (moment := cron.next_after(moment)):
            found.append(moment)
    except CronError:
        return []
    return found


async def _runs(tables: Tables) -> list[DayRun]:
    """Return the current run of each day and those that haven't finished, the latest start first."""
    first, last = EPOCH.date(), datetime.now(UTC).date()
    runs, unfinished = await asyncio.gather(tables.state.runs(first, last), tables.state.unfinished(first, last))
    found = [DayRun(day, start, None, "computing") for day, start in unfinished.items()]
    for day, each in runs.items():
        until = each.partial_until(day)
        state = f"finished: {partial_text(day, until)}" if until else "finished"
        found.append(DayRun(day, EPOCH + timedelta(microseconds=each.micros), each.events, state))
    return sorted(found, key=lambda each: (each.start, each.day), reverse=True)[:_PAST_RUNS]
