"""Rows 3, 4 and 11: a file into the store, a file into the topic, and what that costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.provision.pubsub import provision_pubsub
from shared.config import Settings
from shared.errors import MissingProgramError
from tests.bench import counting, events
from tests.bench.parts import PEERS, ROOT, Parts, variables
from tests.bench.peers.tables import make_table
from tests.bench.pulling import Published, expect_messages
from tests.bench.results import Result, Wrong, alternate, least, most

_SLUICE = Path(sys.executable).with_name("sluice")
_BEAM = ROOT / "build" / "bench" / "bin" / "python"
_OURS, _PEERS = 1_000_000, 50_000


def ingest(parts: Parts) -> Result:
    """Row 3."""
    beam = beam_python()
    found = alternate(
        {
            "ours": lambda: _ingested(parts, _OURS),
            "B": lambda: _rows_written(parts, sys.executable, "client_file.py"),
            "C": lambda: _rows_written(parts, beam, "beam_file.py"),
        },
        rounds=2,
    )
    ours = found.pop("ours")
    return Result(
        value=ours,
        unit="events/s",
        figures=found,
        ratios={name: ours / other for name, other in found.items()},
        targets={"B": least(6), "C": least(12)},
        how=f"`sluice ingest` of a file of {_OURS:,} JSON lines from start to exit, checks and transforms on; B and C "
        f"write {_PEERS:,} of these events as rows without checks, start-up excluded; median of two rounds in "
        "turn",
    )


def publish(parts: Parts) -> Result:
    """Row 4."""
    found = alternate(
        {
            "ours": lambda: _published(parts, "jsonl"),
            "CSV": lambda: _published(parts, "csv"),
            "publisher": lambda: _one_a_message(parts, _PEERS)[0],
        },
        rounds=3,
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
        "start-up; median of three rounds in turn",
    )


def cost(parts: Parts) -> Result:
    """Row 11."""
    _, ours = _sluice_published(parts, "jsonl", 200_000)
    _, alone = _one_a_message(parts, 20_000)
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


def _ingested(parts: Parts, count: int) -> float:
    path = _file(parts, "jsonl", count)
    with parts.bigtable() as settings:
        seconds = parts.run([_SLUICE, "ingest", "--source", path], variables(settings), "sluice-ingest")
        counting.expect_events(settings, events.ids(count))
    return count / seconds


def _rows_written(parts: Parts, python: str | Path, script: str) -> float:
    path = _file(parts, "jsonl", _PEERS)
    with parts.bigtable(tables=False) as settings:
        make_table(settings, "rows")
        seconds = _peer(python, script, path, settings)
        counting.expect_rows(settings, "rows", events.ids(_PEERS))
    return _PEERS / seconds


def _published(parts: Parts, format: str) -> float:
    return _sluice_published(parts, format, _OURS)[0]


def _sluice_published(parts: Parts, format: str, count: int) -> tuple[float, Published]:
    path = _file(parts, format, count)
    with _topics(parts) as settings:
        seconds = parts.run([_SLUICE, "publish", "--source", path], variables(settings), "sluice-publish")
        return count / seconds, expect_messages(settings, events.ids(count))


def _one_a_message(parts: Parts, count: int) -> tuple[float, Published]:
    path = _file(parts, "jsonl", count)
    with _topics(parts) as settings:
        seconds = _peer(sys.executable, "publisher_file.py", path, settings)
        return count / seconds, expect_messages(settings, events.ids(count))


def _peer(python: str | Path, script: str, path: Path, settings: Settings) -> float:
    """Run a peer on a file; returns the seconds that it says."""
    made = subprocess.run(
        [python, PEERS / script, path], env={**os.environ, **variables(settings)}, capture_output=True, check=False
    )
    if made.returncode:
        raise Wrong(f"{script} ended with exit code {made.returncode}: {made.stderr.decode(errors='replace')[-500:]}")
    return float(made.stdout)


def beam_python() -> Path:
    if not _BEAM.exists():
        raise MissingProgramError("Apache Beam isn't installed, which is peer C. `make bench` installs it.")
    return _BEAM


@contextmanager
def _topics(parts: Parts) -> Iterator[Settings]:
    with parts.pubsub() as address:
        settings = Settings("bench", "bench", pubsub_emulator=address)
        provision_pubsub(settings)
        yield settings


def _file(parts: Parts, format: str, count: int) -> Path:
    """Return a file of the first so many events; it is made once."""
    path = parts.folder / f"{count}.{format}"
    if not path.exists():
        (events.write_csv if format == "csv" else events.write_json_lines)(path, count)
    return path
