"""The rows of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.results import Result
from tests.bench.rows import days, files, instance, latency, messages, reading
from tests.bench.servers import Servers


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    work: str
    measure: Callable[[Servers], Result]


ROWS = {
    1: Row("messages of one event", messages.single),
    2: Row("messages of a hundred events", messages.packed),
    3: Row("a file of a million events into the store", files.ingest),
    4: Row("a file of a million events into the topic", files.publish),
    5: Row("aggregating a day of a million events", days.day),
    6: Row("aggregating a day with ten times as much history", days.history),
    7: Row("from publication to readable, at half of full load", latency.until_readable),
    8: Row("cold start: from the process's start to the first event stored", instance.cold_start),
    9: Row("memory of an instance after a million events", instance.memory),
    10: Row("a user's day out of a million events", reading.user_day),
    11: Row("bytes billed for a million events of 200 bytes", files.cost),
    12: Row("memory for aggregating ten million events of a million users", days.memory),
}
