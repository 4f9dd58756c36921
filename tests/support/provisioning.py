"""Create all declared resources for a test."""

from __future__ import annotations

from infra.provision.bigtable import provision_bigtable
from infra.provision.pubsub import provision_pubsub
from infra.provision.scheduler import provision_schedule
from shared.config import Settings


def provision(settings: Settings) -> list[str]:
    """Create missing resources without comparing the existing ones; returns a line for each one created."""
    created = [*provision_pubsub(settings), *provision_bigtable(settings)]
    return [*created, *provision_schedule(settings)] if settings.scheduler_emulator else created
