"""Disturb runs on Beam at a certain step: `python -m tests.beam.disturbed_runs EVENT INSTANCES`, in its environment.

EVENT is a late event, INSTANCES the instance of each disturbance, both as JSON. Prints as JSON what each run returned:
its number of events, or its error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from unittest import mock

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

from msgspec.structs import replace

from infra.beam import event_loop, steps
from infra.beam.aggregate import compute
from infra.beam.driver import error_text
from infra.beam.runners import LocalRunner
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline
from shared.tables.run_writer import RunWriter
from tests.support.samples import lines, message

DAY = date(2024, 1, 15)


def run(settings: Settings, *flags: str) -> Any:
    """Compute the day; return the number of events, or the error."""
    try:
        (summary,) = compute(settings, [DAY], [*LocalRunner().flags(settings, ""), *flags])
    except Exception as error:
        return error_text(error)
    return summary.events


@contextmanager
def before_finish(work: Any) -> Iterator[None]:
    """Run a coroutine before the last step, when all measures are written."""
    finish = steps.FinishRun.process

    def process(self: Any, *arguments: Any) -> None:
        event_loop.run(work())
        finish(self, *arguments)

    with mock.patch.object(steps.FinishRun, "process", process):
        yield


def failing_once(attempts: list[str]) -> Any:
    """Return a method that fails in its first call, when some rows are written."""
    write = RunWriter.write

    async def fail(self: RunWriter, rows: Any) -> None:
        await write(self, rows)
        if not attempts:
            attempts.append("failed")
            raise StoreUnavailableError("the table is away")

    return fail


def main(late: dict[str, Any], instances: dict[str, str]) -> None:
    common = Settings.from_environment()
    contract = load_contract(common.contract)
    of = {name: replace(common, instance_id=instance) for name, instance in instances.items()}
    outcome: dict[str, list[Any]] = {"repeat": [run(of["repeat"], "--direct_runner_bundle_repeat=1")]}

    with mock.patch.object(RunWriter, "write", failing_once([])):
        outcome["fail"] = [run(of["fail"]), run(of["fail"])]

    async def compute_the_day() -> None:
        bigtable = Bigtable(of["overlap"])
        await AggregatePipeline(bigtable, contract).run(DAY)
        await bigtable.close()

    with before_finish(compute_the_day):
        outcome["overlap"] = [run(of["overlap"])]

    async def ingest() -> None:
        bigtable = Bigtable(of["late"])
        await IngestPipeline(bigtable, contract).process(message(lines([late])))
        await bigtable.close()

    with before_finish(ingest):
        outcome["late"] = [run(of["late"])]
    outcome["late"].append(run(of["late"]))
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(*map(json.loads, sys.argv[1:]))
