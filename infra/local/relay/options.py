"""The options of the relay process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.provision.resource_types import Subscription


def relay_options(
    subscriptions: Sequence[Subscription],
    urls: Mapping[str, str],
    push_limits: Mapping[str, int],
    *,
    project: str,
    stats: Path,
) -> list[str]:
    """Return the options of the relay.

    Args:
        subscriptions: the declared ones.
        urls: the address of each function that is pushed to.
        push_limits: the most pushes at once, by subscription.
        project: of the subscriptions.
        stats: the file for the counts of deliveries.
    """
    options = [f"--project={project}", f"--stats={stats}"]
    for each in subscriptions:
        if each.function in urls:
            limit = f":{push_limits[each.name]}" if each.name in push_limits else ""
            options.append(f"--route={each.name}{limit}={urls[each.function]}")
    return [*options, f"--lease={subscriptions[0].ack_deadline.total_seconds():.0f}"]
