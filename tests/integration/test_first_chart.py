"""A new user sees the first chart in under a minute with nothing but the commands that `sluice up` prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.html_page import check_page
from tests.support.processes import eventually, started
from tests.support.samples import ROOT

_SECONDS = 60
_CONTRACT = """
version = 1
name = "orders"
[event]
id = "number"
user = "customer"
time = "placed"
[fields.number]
type = "string"
required = true
[fields.customer]
type = "string"
required = true
[fields.placed]
type = "timestamp"
required = true
[aggregates.customer]
by = "customer"
orders = "count"
"""


@pytest.fixture(params=["the sample events", "an own contract"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], Path, str, int]:
    """Options of `sluice up`, the file to publish, its day and the number of its events."""
    if request.param == "the sample events":
        return [], Path("data/sample_events.csv"), "2024-01-15", 337
    contract, source = tmp_path / "orders.toml", tmp_path / "my orders.jsonl"
    contract.write_text(_CONTRACT)
    orders = ({"number": str(n), "customer": f"c{n % 3}", "placed": "2025-03-04T05:06:07Z"} for n in range(70))
    source.write_text("\n".join(map(json.dumps, orders)))
    return ["--contract", str(contract)], source, "2025-03-04", 70


@pytest.mark.slow
def test_the_printed_commands_lead_to_a_chart_within_a_minute(pipeline: tuple[list[str], Path, str, int]) -> None:
    options, source, day, count = pipeline
    begun = time.monotonic()
    sluice = Path(sys.executable).with_name("sluice")
    with started([str(sluice), "up", *options], stdout=subprocess.PIPE, cwd=ROOT) as up:
        assert up.stdout is not None
        printed = []
        for line in up.stdout:
            printed.append(line)
            if "Ctrl-C" in line:
                break
        text = "".join(printed)
        exports = [line for line in printed if line.startswith("export ")]
        [publish] = [line for line in printed if " publish --source " in line]
        [compute] = [line for line in printed if " trigger aggregate " in line]
        [address] = re.findall(r"^and open (http://\S+)$", text, re.MULTILINE)
        script = "set -e\n" + "".join([*exports, publish.replace("FILE", f"'{source}'"), compute])
        terminal = {"PATH": "/usr/bin:/bin"}  # without the environment of the tests
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env=terminal, capture_output=True, text=True, timeout=_SECONDS
        )
        assert done.returncode == 0, done.stderr

        assert eventually(lambda: stored(address, day) == count, _SECONDS), (text, done.stdout)
    assert time.monotonic() - begun < _SECONDS


def stored(address: str, day: str) -> int:
    """Return the events of a day in the chart and the table of the console; 0 without a bar."""
    try:
        with urllib.request.urlopen(f"{address}days", timeout=10) as response:
            page = check_page(response.read().decode())
    except OSError:
        return 0
    has_bar = any(float(each.attributes["height"]) > 0 for each in page.all("rect"))
    found = [row[1] for row in page.rows() if row[0] == day]
    return int(found[0].replace(",", "").replace("-", "0")) if found and has_bar else 0
