"""Who asks for metrics gets them; who doesn't pays nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared.errors import SettingsError
from shared.runtime import metrics


@pytest.mark.parametrize("exporter", ["", "none"])
def test_without_an_exporter_there_is_nothing_to_call(exporter: str) -> None:
    assert metrics.recorder(exporter) is None


def test_an_unknown_exporter_is_refused() -> None:
    with pytest.raises(SettingsError, match="OTEL_METRICS_EXPORTER: found 'fax', expected none or console or otlp"):
        metrics.recorder("fax")


def test_an_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metrics._EXPORTERS, "otlp", ("no_such_package.exporter", "Exporter"))

    with pytest.raises(SettingsError, match="found 'otlp', expected its package to be installed: No module named"):
        metrics.recorder("otlp")


def test_figures_become_counters() -> None:
    """In a process of its own: the SDK exports from a thread, and at the end."""
    code = (
        "from collections import Counter; from shared.runtime.metrics import recorder; record = recorder('console');"
        "record(Counter(stored=3, rejected=1, null=1)); record(Counter(stored=4))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    told = "".join(done.stdout.split())
    assert '"name":"sluice.stored"' in told
    assert '"value":7' in told
    assert '"attributes":{"rule":"null"}' in told


def test_nothing_is_imported_that_nobody_asked_for() -> None:
    code = "import sys, shared.runtime.metrics as t; t.recorder(''); assert 'opentelemetry' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)
