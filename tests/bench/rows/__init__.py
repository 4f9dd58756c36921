"""The rows of the benchmark. Their modules are imported when they are measured: they need the whole environment."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.programs import BEAM, BIGTABLE, JAVA, PUBSUB, WRK, Program

if TYPE_CHECKING:
    from tests.bench.results import Result
    from tests.bench.servers import Servers


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        work: what is measured.
        function: the function that measures it, as `module.name` in this package.
        programs: what it needs beside Python.
    """

    work: str
    function: str
    programs: tuple[Program, ...] = ()

    def measure(self, servers: Servers) -> Result:
        """Measure the row."""
        module, _, name = self.function.partition(".")
        result: Result = getattr(importlib.import_module(f"{__name__}.{module}"), name)(servers)
        return result


ROWS = {
    1: Row("messages of one event", "messages.single", (WRK, BIGTABLE)),
    2: Row("messages of a hundred events", "messages.packed", (WRK, BIGTABLE)),
    3: Row("a file of a million events into the store", "files.ingest", (BIGTABLE, BEAM)),
    4: Row("a file of a million events into the topic", "files.publish", (PUBSUB, JAVA)),
    5: Row("aggregating a day of a million events", "days.day", (BIGTABLE, BEAM)),
    6: Row("aggregating a day with ten times as much history", "days.history", (BIGTABLE,)),
    7: Row("from publication to readable, at half of full load", "latency.until_readable"),
    8: Row("cold start: from the process's start to the first event stored", "instance.cold_start", (BIGTABLE,)),
    9: Row("memory of an instance after a million events", "instance.memory", (WRK, BIGTABLE)),
    10: Row("a user's day out of a million events", "reading.user_day", (BIGTABLE,)),
    11: Row("bytes billed for a million events of 200 bytes", "files.cost", (PUBSUB, JAVA)),
    12: Row("memory for aggregating ten million events of a million users", "days.memory"),
    13: Row("dollars per million events at 1, 100 and 10,000 events a second", "dollars.ingestion"),
    14: Row("checking a file of a million events on one core", "check.one_core"),
    15: Row("the embedded Bigtable emulator beside Google's", "engines.rates", (BIGTABLE,)),
    16: Row("1, 2, 4 and 8 instances at once, without a store's limit", "scaling.instances", (WRK,)),
}


def numbers_of(text: str) -> list[int]:
    """Return the numbers of rows such as `1,5`; ValueError if one isn't a row."""
    try:
        numbers = sorted({int(number) for number in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or not set(numbers) <= set(ROWS):
        raise ValueError(f"found {text!r}, expected some of {','.join(map(str, ROWS))}")
    return numbers
