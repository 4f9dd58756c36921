"""Metrics through OpenTelemetry, for who asks for them; without, nothing is imported and nothing is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any

from shared.errors import SettingsError

# By the names that OTEL_METRICS_EXPORTER has for them (https://opentelemetry.io/docs/specs/otel/configuration). The
# exporter for OTLP is for the bundle's requirements to name.
_EXPORTERS = {
    "console": ("opentelemetry.sdk.metrics.export", "ConsoleMetricExporter"),
    "otlp": ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "OTLPMetricExporter"),
}
_KINDS = {"stored", "rejected", "duplicate", "messages"}


def recorder(exporter: str) -> Callable[[Counter[str]], None] | None:
    """Return what turns figures into counters `sluice.<name>`, and rules into one counter with an attribute.

    Args:
        exporter: of `OTEL_METRICS_EXPORTER`; nothing or "none" for no metrics.

    Raises:
        SettingsError: there is no such exporter.
    """
    if exporter in ("", "none"):
        return None
    if exporter not in _EXPORTERS:
        raise SettingsError(f"OTEL_METRICS_EXPORTER: found {exporter!r}, expected none or {' or '.join(_EXPORTERS)}")
    module, name = _EXPORTERS[exporter]
    try:
        make: Any = getattr(import_module(module), name)
        sdk, export = import_module("opentelemetry.sdk.metrics"), import_module("opentelemetry.sdk.metrics.export")
    except ImportError as error:
        raise SettingsError(
            f"OTEL_METRICS_EXPORTER: found {exporter!r}, expected its package to be installed: {error}"
        ) from None
    provider = sdk.MeterProvider(metric_readers=[export.PeriodicExportingMetricReader(make())])
    meter = provider.get_meter("sluice")
    counters = {kind: meter.create_counter(f"sluice.{kind}") for kind in sorted(_KINDS)}
    broken = meter.create_counter("sluice.rules_broken")

    def record(counts: Counter[str]) -> None:
        for kind, count in counts.items():
            if kind in counters:
                counters[kind].add(count)
            else:
                broken.add(count, {"rule": kind})

    return record
