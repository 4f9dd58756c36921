"""Optional metrics: exporters by name, counters, and no import without an exporter."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from unittest.mock import MagicMock

import pytest

from shared.errors import SettingsError
from shared.runtime import metrics
from shared.runtime.shutdown import GRACE_SECONDS


@pytest.mark.parametrize("exporter", ["", "none"])
def test_without_an_exporter_there_is_no_recorder(exporter: str) -> None:
    assert metrics.recorder(exporter) is None


def test_an_unknown_exporter_is_refused() -> None:
    with pytest.raises(
        SettingsError,
        match="OTEL_METRICS_EXPORTER: found 'fax', expected none or an exporter whose package is installed: console",
    ):
        metrics.recorder("fax")


def test_an_exporter_that_is_not_installed_is_named() -> None:
    with pytest.raises(SettingsError, match="found 'otlp', expected none or an exporter whose package is installed"):
        metrics.recorder("otlp")


def test_counts_become_counters() -> None:
    """In a process of its own: the SDK exports from a thread, and at the end."""
    code = (
        "from collections import Counter; from shared.runtime.metrics import recorder; record = recorder('console');"
        "record(Counter(stored=3, rejected=1, null=1)); record(Counter(stored=4))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    output = "".join(done.stdout.split())
    assert '"name":"sluice.stored"' in output
    assert '"value":7' in output
    assert '"attributes":{"rule":"null"}' in output


def test_counts_are_exported_when_the_recorder_closes_and_after_it() -> None:
    """In a process that ends as the server does: by a signal, without the SDK's export at exit."""
    code = """
import asyncio, os, signal
from collections import Counter
from shared.runtime.metrics import recorder

async def main():
    record = recorder("console")
    record(Counter(stored=3))
    record.close()
    record(Counter(stored=4))
    record(Counter(stored=5))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == -signal.SIGKILL
    assert re.findall(r'"value": (\d+)', done.stdout) == ["3", "12"]


def test_exports_and_requests_end_before_the_process_is_killed() -> None:
    assert metrics._SHUTDOWN_SECONDS + GRACE_SECONDS < 10


def test_a_hanging_exporter_delays_the_shutdown_by_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_SHUTDOWN_SECONDS", 0.1)
    provider, hangs = MagicMock(), threading.Event()
    provider.force_flush.side_effect = lambda: hangs.wait(30)
    record = metrics.Recorder(provider)
    began = time.monotonic()

    record.close()
    record.close()

    hangs.set()
    assert time.monotonic() - began < 5
    assert provider.force_flush.call_count == 1


def test_without_an_exporter_nothing_is_imported() -> None:
    code = "import sys, shared.runtime.metrics as t; t.recorder(''); assert 'opentelemetry' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)
