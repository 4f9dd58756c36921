"""Print the rate of the read API for a user's day beside that of a bare ReadRows."""

from __future__ import annotations

import json
import random
import statistics
import time
from http.client import HTTPConnection
from urllib.parse import urlencode

import click

from infra.local.supervisor import Supervisor
from tests.bench import events
from tests.bench.fill_events import fill_events
from tests.bench.results import MeasurementError
from tests.bench.rows.reading import bare_seconds
from tests.bench.servers import Function, Servers
from tests.support.samples import ROOT

_ROUNDS = 5
_TARGET = 0.5


@click.command()
@click.option("--events", "count", default=200_000, show_default=True, help="Number of events in the table.")
@click.option("--reads", default=500, show_default=True, help="Number of users whose day is read, one after the other.")
def main(count: int, reads: int) -> None:
    """Read the day of each of several users over HTTP and with the generated client, in turn."""
    dice = random.Random(1)
    users = [f"user_{dice.randrange(events.USERS):07d}" for _ in range(reads)]
    ours: list[float] = []
    bare: list[float] = []
    with Supervisor() as supervisor, Servers(supervisor).bigtable() as settings:
        fill_events(settings, events.lines(count))
        with Servers(supervisor).function("query", ROOT / "functions" / "query" / "main.py", settings) as function:
            for _ in range(_ROUNDS):
                bare += bare_seconds(settings, users)
                ours += api_seconds(function, users)
    rate, limit = 1 / statistics.median(ours), 1 / statistics.median(bare)
    met = "" if rate / limit >= _TARGET else f", below {_TARGET}"
    click.echo(f"read API {rate:,.0f}/s, bare ReadRows {limit:,.0f}/s: {rate / limit:.2f}{met}")


def api_seconds(function: Function, users: list[str]) -> list[float]:
    """Return the seconds of each request for a user's day, over one connection."""
    span = {"start": f"{events.DAY}T00:00:00Z", "end": f"{events.DAY}T23:59:59.999999Z", "limit": 1_000}
    seconds = []
    connection = HTTPConnection("127.0.0.1", function.port)
    for user in [users[0], *users]:
        started = time.perf_counter()
        connection.request("GET", f"/v1/events?{urlencode({'user': user, **span})}")
        response = connection.getresponse()
        body = response.read()
        seconds.append(time.perf_counter() - started)
        if response.status != 200 or json.loads(body)["next"] is not None:
            raise MeasurementError(f"{user}: found {response.status} {body[:200]!r}, expected a single page")
    connection.close()
    return seconds[1:]


if __name__ == "__main__":
    main()
