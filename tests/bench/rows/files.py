"""Rows 3, 4 and 11: a file into the store, a file into the topic, and the cost of the latter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.provision.pubsub import provision_pubsub
from shared.config import Settings
from tests.bench import events
from tests.bench.peers.tables import create_table
from tests.bench.programs import BEAM_PYTHON
from tests.bench.results import MeasurementError, Result, alternate, least, most
from tests.bench.servers import PEERS, Servers, environment_of
from tests.bench.verify_tables import verify_events, verify_rows
from tests.bench.verify_topic import Published, verify_messages

_SLUICE = Path(sys.executable).with_name("sluice")
_OURS, _PEERS = 1_000_000, 50_000


def ingest(servers: Servers) -> Result:
    """Measure row 3: events per second of `sluice ingest`."""
    found = alternate(
        {
            "ours": lambda: _ingested(servers, _OURS),
            "B": lambda: _rows_written(servers, sys.executable, "client_file.py"),
            "C": lambda: _rows_written(servers, BEAM_PYTHON, "beam_file.py"),
        },
        rounds=2,
    )
    ours = found.pop("ours")
    return Result(
        value=ours,
        unit="events/s",
        figures=found,
        ratios={name: ours / other for name, other in found.items()},
        targets={"B": least(8), "C": least(12)},
        how=f"`sluice ingest` of a file of {_OURS:,} JSON lines from start to exit, checks and transforms on; B and C "
        f"write {_PEERS:,} of these events as rows without checks, start-up excluded; median of two rounds in "
        "turn",
    )


def publish(servers: Servers) -> Result:
    """Measure row 4: events per second of `sluice publish`."""
    found = alternate(
        {
            "ours": lambda: _published(servers, "jsonl"),
            "CSV": lambda: _published(servers, "csv"),
            "publisher": lambda: _published_singly(servers, _PEERS)[0],
        },
        rounds=2,
    )
    ours, publisher = found.pop("ours"), found["publisher"]
    return Result(
        value=ours,
        unit="events/s",
        figures=found,
        ratios={"publisher": ours / publisher, "CSV to publisher": found["CSV"] / publisher},
        targets={"publisher": least(15), "CSV to publisher": least(8)},
        how=f"`sluice publish` of files of {_OURS:,} events, JSON lines and CSV, from start to exit; the publisher is "
        f"Google's client with its default batching, {_PEERS:,} of these events in a message each, without its "
        "start-up; median of two rounds in turn",
    )


def cost(servers: Servers) -> Result:
    """Measure row 11: bytes that Pub/Sub bills per byte of events."""
    _, ours = _sluice_published(servers, "jsonl", 100_000)
    _, alone = _published_singly(servers, 20_000)
    bytes_billed, bytes_alone = ours.billed / ours.payload, alone.billed / alone.payload
    invocations, invocations_alone = (1_000_000 * made.messages / made.events for made in (ours, alone))
    return Result(
        value=bytes_billed,
        unit="times the payload",
        figures={
            "one event a message": bytes_alone,
            "invocations a million": invocations,
            "one event a message, invocations": invocations_alone,
        },
        ratios={"bytes billed": bytes_billed, "invocations a million": invocations},
        targets={"bytes billed": most(1.1), "invocations a million": most(10_000)},
        how="bytes that Pub/Sub bills for delivering what `sluice publish` sent, computed from the pulled messages: "
        "data, attributes, id and 20 bytes of time, at least 1,000 bytes per request, one push request per message "
        f"(https://cloud.google.com/pubsub/pricing); events of {ours.payload / ours.events:.0f} bytes",
    )


def _ingested(servers: Servers, count: int) -> float:
    path = _file(servers, "jsonl", count)
    with servers.bigtable() as settings:
        seconds = servers.run([_SLUICE, "ingest", "--source", path], environment_of(settings), "sluice-ingest")
        verify_events(settings, events.ids(count))
    return count / seconds


def _rows_written(servers: Servers, python: str | Path, script: str) -> float:
    path = _file(servers, "jsonl", _PEERS)
    with servers.bigtable(tables=False) as settings:
        create_table(settings, "rows")
        seconds = _peer(python, script, path, settings)
        verify_rows(settings, "rows", events.ids(_PEERS))
    return _PEERS / seconds


def _published(servers: Servers, format: str) -> float:
    return _sluice_published(servers, format, _OURS)[0]


def _sluice_published(servers: Servers, format: str, count: int) -> tuple[float, Published]:
    path = _file(servers, format, count)
    with _topics(servers) as settings:
        seconds = servers.run([_SLUICE, "publish", "--source", path], environment_of(settings), "sluice-publish")
        return count / seconds, verify_messages(settings, events.ids(count))


def _published_singly(servers: Servers, count: int) -> tuple[float, Published]:
    path = _file(servers, "jsonl", count)
    with _topics(servers) as settings:
        seconds = _peer(sys.executable, "publisher_file.py", path, settings)
        return count / seconds, verify_messages(settings, events.ids(count))


def _peer(python: str | Path, script: str, path: Path, settings: Settings) -> float:
    """Run a peer on a file and return the seconds that it prints."""
    ran = subprocess.run(
        [python, PEERS / script, path], env={**os.environ, **environment_of(settings)}, capture_output=True, check=False
    )
    if ran.returncode:
        raise MeasurementError(f"{script}: exit code {ran.returncode}: {ran.stderr.decode(errors='replace')[-500:]}")
    return float(ran.stdout)


@contextmanager
def _topics(servers: Servers) -> Iterator[Settings]:
    with servers.pubsub() as address:
        settings = Settings("bench", "bench", pubsub_emulator=address)
        provision_pubsub(settings)
        yield settings


def _file(servers: Servers, format: str, count: int) -> Path:
    """Return a file of `count` events; it is written once."""
    path = servers.folder / f"{count}.{format}"
    if not path.exists():
        (events.write_csv if format == "csv" else events.write_json_lines)(path, count)
    return path
