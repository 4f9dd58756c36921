"""Optional OpenTelemetry metrics; without an exporter nothing is imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib import import_module

from shared.errors import SettingsError

# Exporter packages register under this name, which OpenTelemetry's own configuration reads, too
# (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection).
_ENTRY_POINTS = "opentelemetry_metrics_exporter"
_COUNTERS = {"stored", "rejected", "duplicate", "messages"}


def recorder(exporter: str) -> Callable[[Counter[str]], None] | None:
    """Return a function that adds counts to counters `sluice.<name>`, and rules to one counter with an attribute.

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
    provider = sdk.MeterProvider(metric_readers=[export.PeriodicExportingMetricReader(make())])
    meter = provider.get_meter("sluice")
    counters = {name: meter.create_counter(f"sluice.{name}") for name in sorted(_COUNTERS)}
    broken = meter.create_counter("sluice.rules_broken")

    def record(counts: Counter[str]) -> None:
        for name, count in counts.items():
            if name in counters:
                counters[name].add(count)
            else:
                broken.add(count, {"rule": name})

    return record
