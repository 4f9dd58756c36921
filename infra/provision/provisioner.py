"""Bring what exists to what is declared, on the emulators and on Google Cloud by the same calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from infra.provision.bigtable import open_bigtable, provision_bigtable
from infra.provision.plan import Change
from infra.provision.pubsub import open_pubsub, provision_pubsub
from infra.provision.resources import RESOURCES, Resources
from infra.provision.scheduler import open_schedule, provision_schedule
from shared.config import Settings
from shared.errors import SluiceError


def provision(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Make all that is missing; returns a line for each thing made, none if everything was there.

    What exists isn't compared with what is declared; `Provisioning` does that.

    Raises:
        SettingsError: it may not be made, or the instance doesn't exist.
        StoreUnavailableError: a service doesn't answer.
    """
    made = [*provision_pubsub(settings, resources), *provision_bigtable(settings, resources)]
    return made if _without_schedule(settings) else [*made, *provision_schedule(settings, resources)]


class _Service(Protocol):
    notes: list[str]

    def plan(self) -> list[Change]: ...
    def apply(self, change: Change) -> None: ...


class Provisioning:
    """Compares and applies, inside its `with` block.

    Attributes:
        changes: what has to change, in the order in which it has to; `plan` fills it.
        notes: what isn't looked at, and why.
    """

    def __init__(self, settings: Settings, resources: Resources = RESOURCES) -> None:
        """Prepare.

        Raises:
            SettingsError: some services would be emulators, and others Google's.
        """
        reason = _without_schedule(settings)
        self.notes = [f"job {job.name}: {reason}" for job in resources.jobs if reason]
        self.changes: list[Change] = []
        self._opening = list(_opening(settings, resources).values())
        self._services: dict[str, _Service] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Provisioning:
        with ExitStack() as stack:
            services = [stack.enter_context(each) for each in self._opening]
            for service in services:
                changes = service.plan()
                self.changes += changes
                self.notes += service.notes
                self._services.update({change.title: service for change in changes})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def apply(self, *, force: bool = False) -> Iterator[Change]:
        """Do what has to be done, one thing after the other; yields each when it is done.

        Interrupted, it goes on when it is run again: nothing is remembered, everything is looked at.

        Args:
            force: do what loses data, too.

        Raises:
            SettingsError: a service refuses a change.
            StoreUnavailableError: a service doesn't answer.
        """
        for change in self.changes:
            if force or not change.loses:
                self._services[change.title].apply(change)
                yield change

    def refused(self, *, force: bool = False) -> Sequence[Change]:
        """Return what isn't done because it would lose data."""
        return [] if force else [change for change in self.changes if change.loses]


def compare(settings: Settings, resources: Resources = RESOURCES) -> Iterator[tuple[str, list[Change] | SluiceError]]:
    """Look at one service after the other; yields what it has, and what has to change there or why nobody knows.

    Raises:
        SettingsError: some services would be emulators, and others Google's.
    """
    for what, opening in _opening(settings, resources).items():
        found: list[Change] | SluiceError
        try:
            with opening as service:
                found = service.plan()
        except SluiceError as error:
            found = error
        yield what, found


def _opening(settings: Settings, resources: Resources) -> dict[str, AbstractContextManager[_Service]]:
    """Return the way to each service, in the order in which things are made: what takes from a topic, after it."""
    opening: dict[str, AbstractContextManager[_Service]] = {
        "topics and subscriptions": open_pubsub(settings, resources),
        "tables": open_bigtable(settings, resources),
    }
    if not _without_schedule(settings):
        opening["schedule"] = open_schedule(settings, resources)
    return opening


def _without_schedule(settings: Settings) -> str:
    """Return why there is to be no job, or nothing; a laptop's settings never lead to Google Cloud, nor the other way.

    Raises:
        SettingsError: some services would be emulators, and others Google's.
    """
    if settings.emulated() and not settings.scheduler_emulator:
        return "left out, since the other services are emulators and CLOUD_SCHEDULER_EMULATOR_HOST isn't set"
    return ""
