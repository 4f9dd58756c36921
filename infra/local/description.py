"""Describes a running stack: its parts, and the variables by which other programs find it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence

from infra.local.supervisor import Child

_TITLES = {
    "emulators": "Bigtable, Pub/Sub, Cloud Scheduler",
    "bigtable-emulator": "Bigtable emulator",
    "pubsub-emulator": "Pub/Sub emulator",
    "scheduler": "Cloud Scheduler",
    "console": "console in the browser",
}


def describe(
    children: Sequence[Child],
    titles: Mapping[str, str],
    ports: Mapping[str, int],
    servers: Collection[str],
    environment: Mapping[str, str],
) -> str:
    """Return the address and log of each part, and lines to paste into a shell.

    Args:
        children: the processes.
        titles: of parts that depend on the stack, by the names of their processes.
        ports: by part.
        servers: the parts with an address for browsers.
        environment: the variables.
    """
    known = {**_TITLES, **titles}
    lines = []
    for child in children:
        if child.name in known:
            address = f"127.0.0.1:{ports[child.name.removesuffix('-emulator')]}"
            address = f"http://{address}/" if child.name in servers else address
            lines.append(f"{known[child.name]:<35} {address:<26} {child.log}")
    return "\n".join([*lines, "", *(f"export {name}={shlex.quote(value)}" for name, value in environment.items())])
