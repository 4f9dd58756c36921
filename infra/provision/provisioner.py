"""Compare the declared resources with the existing ones and apply the changes, on emulators and on Google Cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from infra.provision.bigtable import open_bigtable
from infra.provision.plan import Change
from infra.provision.pubsub import open_pubsub
from infra.provision.resources import RESOURCES, Resources
from infra.provision.scheduler import open_schedule
from shared.config import Settings
from shared.errors import SluiceError


class _Service(Protocol):
    notes: list[str]

    def plan(self, *, adopt: bool = False) -> list[Change]: ...
    def apply(self, change: Change) -> None: ...


class Provisioning:
    """A comparison and its changes, as a context manager.

    Attributes:
        changes: the changes in the order to apply them; set on entry.
        notes: what was not compared or not changed, and why.
    """

    def __init__(self, settings: Settings, resources: Resources = RESOURCES, *, adopt: bool = False) -> None:
        """Check the settings; nothing connects before the `with` block.

        Args:
            settings: the project, the instance and the name of the pipeline.
            resources: the declared resources.
            adopt: mark existing resources without a mark, and change them. Without it, they are refused.

        Raises:
            SettingsError: the settings mix emulators and Google's services.
        """
        reason = _reason_to_skip_jobs(settings)
        self.notes = [f"job {job.name}: {reason}" for job in resources.named(settings.name).jobs if reason]
        self.changes: list[Change] = []
        self._adopt = adopt
        self._connections = list(_connections(settings, resources).values())
        self._services: dict[str, _Service] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Provisioning:
        with ExitStack() as stack:
            services = [stack.enter_context(connection) for connection in self._connections]
            for service in services:
                changes = service.plan(adopt=self._adopt)
                self.changes += changes
                self.notes += service.notes
                self._services.update({change.title: service for change in changes})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def apply(self, *, force: bool = False) -> Iterator[Change]:
        """Apply the changes in order; yields each change once it is applied.

        No state is kept between runs. A new run after an interruption compares again and applies the rest.

        Args:
            force: also apply changes that lose data.

        Raises:
            SettingsError: a service refuses a change.
            StoreUnavailableError: a service doesn't answer.
        """
        for change in self.changes:
            if not change.refusal(force=force, adopt=self._adopt):
                self._services[change.title].apply(change)
                yield change

    def skipped(self, *, force: bool = False) -> Sequence[Change]:
        """Return the changes that `apply` skips, because they lose data or the resource lacks the mark."""
        return [change for change in self.changes if change.refusal(force=force, adopt=self._adopt)]


def compare(
    settings: Settings, resources: Resources = RESOURCES
) -> Iterator[tuple[str, list[Change] | SluiceError | str]]:
    """Compare each service; yields the name of its resources, and their changes or the error of the comparison.

    After them come the notes of the service, each as a name and a text.

    Raises:
        SettingsError: the settings mix emulators and Google's services.
    """
    for name, connection in _connections(settings, resources).items():
        outcome: list[Change] | SluiceError
        notes: list[str] = []
        try:
            with connection as service:
                outcome = service.plan()
                notes = service.notes
        except SluiceError as error:
            outcome = error
        yield name, outcome
        for note in notes:
            what, _, text = note.partition(": ")
            yield what, text


def _connections(settings: Settings, resources: Resources) -> dict[str, AbstractContextManager[_Service]]:
    """Return the services by the name of their resources, in creation order: topics before what refers to them."""
    connections: dict[str, AbstractContextManager[_Service]] = {
        "topics and subscriptions": open_pubsub(settings, resources),
        "tables": open_bigtable(settings, resources),
    }
    if not _reason_to_skip_jobs(settings):
        connections["schedule"] = open_schedule(settings, resources)
    return connections


def _reason_to_skip_jobs(settings: Settings) -> str:
    """Return why jobs are skipped, or "". Emulator settings never lead to Google Cloud, nor the other way round.

    Raises:
        SettingsError: the settings mix emulators and Google's services.
    """
    if settings.emulated() and not settings.scheduler_emulator:
        return "skipped, because the other services are emulators and CLOUD_SCHEDULER_EMULATOR_HOST isn't set"
    return ""
