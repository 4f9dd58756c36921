"""Optional OpenTelemetry metrics; without an exporter nothing is imported."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from importlib import import_module
from typing import Any

from shared.errors import SettingsError

# Exporter packages register under this name, which OpenTelemetry's own configuration reads, too
# (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection).
_ENTRY_POINTS = "opentelemetry_metrics_exporter"
_COUNTERS = {"stored", "rejected", "duplicate", "messages"}
# Seconds that all exports of a shutdown may take together. With shutdown.GRACE_SECONDS they end before Cloud Run kills
# the process, ten seconds after SIGTERM.
_SHUTDOWN_SECONDS = 2.0


class Recorder:
    """Adds counts to counters `sluice.<name>`, and rules to one counter with an attribute.

    The SDK exports them once a minute, from a thread. After `close` each count is exported at once: the server ends the
    process by a signal, so that the SDK's own export at exit doesn't run.
    """

    def __init__(self, provider: Any) -> None:
        """Create the counters of a MeterProvider."""
        meter = provider.get_meter("sluice")
        self._provider = provider
        self._counters = {name: meter.create_counter(f"sluice.{name}") for name in sorted(_COUNTERS)}
        self._broken = meter.create_counter("sluice.rules_broken")
        self._closed = False
        self._remaining = _SHUTDOWN_SECONDS
        self._scheduled = False

    def __call__(self, counts: Counter[str]) -> None:
        """Add counts."""
        for name, count in counts.items():
            if name in self._counters:
                self._counters[name].add(count)
            else:
                self._broken.add(count, {"rule": name})
        if self._closed and not self._scheduled:
            # Runs before the server finds the request finished, and exports the counts of simultaneous requests once.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._export)

    def close(self) -> None:
        """Export the counts now, and every later count soon after it was added."""
        self._closed = True
        self._export()

    def _export(self) -> None:
        self._scheduled = False
        if self._remaining <= 0:
            return
        began = time.monotonic()
        # An exporter retries for longer than a shutdown may take, so it isn't called in this thread.
        export = threading.Thread(target=self._provider.force_flush, daemon=True)
        export.start()
        export.join(self._remaining)
        self._remaining -= time.monotonic() - began


def recorder(exporter: str) -> Recorder | None:
    """Return a recorder for an exporter; None without one.

    Args:
        exporter: of `OTEL_METRICS_EXPORTER`, such as "console" or "otlp"; empty or "none" for no metrics.

    Raises:
        SettingsError: no installed package provides the exporter.
    """
    if exporter in ("", "none"):
        return None
    from importlib.metadata import entry_points  # 20 ms that functions without metrics don't need

    # "otlp" names no protocol; HTTP works from Cloud Run instances.
    found = entry_points(group=_ENTRY_POINTS, name="otlp_proto_http" if exporter == "otlp" else exporter)
    if not found:
        installed = sorted(each.name for each in entry_points(group=_ENTRY_POINTS))
        raise SettingsError(
            f"OTEL_METRICS_EXPORTER: found {exporter!r}, expected none or an exporter whose package is installed: "
            f"{', '.join(installed)}"
        )
    make = next(iter(found)).load()
    sdk, export = import_module("opentelemetry.sdk.metrics"), import_module("opentelemetry.sdk.metrics.export")
    return Recorder(sdk.MeterProvider(metric_readers=[export.PeriodicExportingMetricReader(make())]))
