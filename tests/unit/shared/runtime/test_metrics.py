"""Optional metrics: exporters by name, counters, and no import without an exporter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared.errors import SettingsError
from shared.runtime import metrics


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


def test_without_an_exporter_nothing_is_imported() -> None:
    code = "import sys, shared.runtime.metrics as t; t.recorder(''); assert 'opentelemetry' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)
