"""Row 14: the validation of a file on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.bench import events
from tests.bench.results import MeasurementError, Result, alternate, least
from tests.bench.servers import ROOT, Servers

_SLUICE = Path(sys.executable).with_name("sluice")
_EVENTS = 1_000_000


def one_core(servers: Servers) -> Result:
    """Measure row 14: events per second of `sluice check` on one core."""
    lines = events.write_json_lines(servers.folder / "events.jsonl", _EVENTS)
    csv = events.write_csv(servers.folder / "events.csv", _EVENTS)
    found = alternate({"ours": partial(_checked, lines), "CSV": partial(_checked, csv)}, rounds=3, once=["CSV"])
    ours = found.pop("ours")
    return Result(
        value=ours,
        unit="events/s",
        figures=found,
        ratios={"events/s": ours},
        targets={"events/s": least(150_000)},
        how=f"`sluice check` of a file of {_EVENTS:,} JSON lines from start to exit, pinned to one core, with every "
        "check and transform of the music contract; its report has to count every event. Median of three "
        "rounds; CSV once",
    )


def _checked(path: Path) -> float:
    """Return the events per second of `sluice check`, from the start of its process to its exit."""
    if sys.platform != "linux":
        raise MeasurementError(f"found the system {sys.platform}, expected linux, which can pin a process to a core")
    core = min(os.sched_getaffinity(0))
    started = time.monotonic()
    ran = subprocess.run(
        [_SLUICE, "check", "--source", path, "--json"],
        capture_output=True,
        check=False,
        cwd=ROOT,
        preexec_fn=partial(os.sched_setaffinity, 0, {core}),
    )
    seconds = time.monotonic() - started
    if ran.returncode:
        raise MeasurementError(f"sluice check: exit code {ran.returncode}: {ran.stderr.decode()[-500:]}")
    report = json.loads(ran.stdout)
    if (report["published"], report["stored"]) != (_EVENTS, _EVENTS):
        counted = f"{report['published']:,} events, {report['stored']:,} of them valid"
        raise MeasurementError(f"sluice check: found {counted}, expected {_EVENTS:,} valid ones")
    return _EVENTS / seconds
