"""The snippets of the documentation run, and do what the pages say."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from infra.local.ports import accepts
from infra.provision.bigtable import provision_bigtable
from shared.bigtable.client import Bigtable
from shared.config import EMULATOR_VARIABLES, Settings
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from shared.ingest.pipeline import IngestPipeline
from tests.support.processes import free_port
from tests.support.samples import MUSIC_CONTRACT, ROOT, cells, dump, lines, message, music_event

SNIPPETS = ROOT / "docs" / "snippets"
BIN = Path(sys.executable).parent
START_SECONDS = 30.0


def environment(settings: Settings, **extra: str) -> dict[str, str]:
    """Return the variables that the README says to paste, with the tools of this environment."""
    emulators = {EMULATOR_VARIABLES[service]: address for service, address in settings.emulators.items()}
    names = {"GCP_PROJECT_ID": settings.project_id, "BIGTABLE_INSTANCE": settings.instance_id}
    path = {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **path, **names, **emulators, **extra}


def output(*command: str | Path, env: dict[str, str], given: str | None = None) -> str:
    """Return what a command prints; it runs in the root of the repository."""
    result = subprocess.run(command, env=env, cwd=ROOT, input=given, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


@contextmanager
def local_function(env: dict[str, str], port: int, log: Path) -> Iterator[None]:
    """Run the snippet that runs a function, until the end of the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", SNIPPETS / "local_function.sh"], cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True
        )
    try:
        give_up = time.monotonic() + START_SECONDS
        while not accepts(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def test_python_writes_and_reads(emulators: Settings) -> None:
    settings = replace(emulators, project_id="your-project-id", instance_id="your-instance-id")
    provision_bigtable(settings)

    events, measures = output(sys.executable, SNIPPETS / "write_and_read.py", env=environment(settings)).splitlines()

    assert ast.literal_eval(events) == [
        {
            "event_id": "event456",
            "user_id": "user123",
            "timestamp": "2024-01-15T10:30:00Z",
            "event_type": "click",
            "page": "/home",
        }
    ]
    assert ast.literal_eval(measures) == {"total_events": 100, "unique_songs": 25}


def test_a_local_function_stores_the_posted_event(settings: Settings, tmp_path: Path) -> None:
    """The posted request is a push of Pub/Sub."""
    port = free_port()
    env = environment(settings, PORT=str(port))
    with local_function(env, port, tmp_path / "log"):
        response = output("bash", SNIPPETS / "post_event.sh", env=env)

    assert response.strip() == "OK"
    [(row_key, *_)] = cells(dump(settings, "events"), "e")
    assert row_key.endswith(b"#20240115#u1")
    shown = output(BIN / "sluice", "events", "u1", "--start", "2024-01-15", env=env)
    assert json.loads(shown)["event_id"] == "e1"


def test_googles_client_creates_a_job_in_the_local_scheduler(emulators: Settings) -> None:
    created = output(sys.executable, SNIPPETS / "create_job.py", env=environment(emulators))

    assert created == "projects/my-project/locations/europe-west3/jobs/nightly ENABLED\n"


def test_the_contract_of_code_hosting_accepts_such_an_event(emulators: Settings) -> None:
    event = {
        "type": "PushEvent",
        "id": 1,
        "actor": {"login": "a"},
        "repo": {"name": "a/b"},
        "created_at": "2024-01-15T10:30:00Z",
    }
    command = (BIN / "sluice", "check", "--source", "-", "--contract", SNIPPETS / "hub.toml")

    checked = output(*command, env=environment(emulators), given=json.dumps(event))

    assert "1 events read: 1 stored, 0 rejected, 0 duplicates" in checked


def test_a_day_is_copied_to_hourly_rows(settings: Settings) -> None:
    hourly = replace(settings, name="hourly")
    provision_bigtable(hourly)
    contract = load_contract(MUSIC_CONTRACT)
    by_hour = replace(contract, bucket="hour")
    published = datetime(2024, 1, 16, tzinfo=UTC)
    # The duration of the second event has a warning, which is stored beside it.
    changes = [{"timestamp": "2024-01-15T00:00:00Z"}, {"timestamp": "2024-01-15T23:59:59.999Z", "duration": 1e6}]
    data = lines(music_event(number, **each) for number, each in enumerate(changes))

    async def ingest(settings: Settings, contract: Contract) -> None:
        bigtable = Bigtable(settings)
        await IngestPipeline(bigtable, contract).process(message(data, published=published))
        await bigtable.close()

    asyncio.run(ingest(settings, contract))
    for _ in range(2):  # a repetition changes nothing
        out = output(sys.executable, SNIPPETS / "copy_to_hours.py", "2024-01-15", "hourly", env=environment(settings))
        assert out == "3 cells copied\n"
    copied = dump(hourly, "hourly-events")
    assert len(list(cells(copied, "e"))) == 2
    assert {key[-3:] for key in copied} == {b"#00", b"#23"}

    asyncio.run(ingest(hourly, by_hour))  # the same cells as those of an instance with hourly rows

    assert dump(hourly, "hourly-events") == copied
