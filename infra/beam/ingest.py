"""Store files on Beam: `python -m infra.beam.ingest --source='gs://my-bucket/2024/*.gz' --runner=...`.

`--help` lists the flags; all others are Beam's. Settings come from environment variables. The report is a line of JSON.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, get_args

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from infra.batch.load import load_files
from infra.batch.report import Report
from infra.beam.bigtable_dofn import BigtableDoFn
from infra.beam.driver import drive, print_result
from infra.beam.event_loop import run
from shared.config import Settings, mask_key
from shared.contracts.loader import load_contract, parse_contract
from shared.contracts.source import Format
from shared.errors import SourceError
from shared.sources.columns import columns
from shared.sources.files import SourceReader

# Namespaces of the metrics that contain the report: counters, counters by rule, and texts of what can't be read.
_COUNTS, _RULES, _TEXTS = "sluice.report", "sluice.report.rejected", "sluice.report.unreadable"


class Load(NamedTuple):
    """How files are stored.

    Attributes:
        contract: text of the contract file. It is parsed where it is used: msgspec leaves out a default, such as the
            severity of a finding, only if it is the same object, which a pickled contract doesn't have.
        path: of the contract file.
        published: the time of publication of all events, so that a file read twice gives the same verdicts.
    """

    contract: str
    path: str
    format: Format
    batch_size: int
    quality: bool
    published: datetime


class LoadFile(BigtableDoFn):
    """Stores the events of files, and counts the report as metrics."""

    def __init__(self, settings: Settings, load: Load) -> None:
        super().__init__(settings)
        self._load = load

    def setup(self) -> None:
        """Parse the contract."""
        super().setup()
        self._contract = parse_contract(tomllib.loads(self._load.contract), self._load.path, mask_key())

    def process(self, path: str) -> None:
        """Store the events of a file; storing them again changes nothing."""
        load, contract = self._load, self._contract
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            reader = SourceReader(
                [None],
                format=load.format,
                source_format=contract.source,
                columns=columns(contract),
                stdin=file,
                stdin_name=path,
            )
            report = run(
                load_files(
                    reader,
                    self.bigtable,
                    contract,
                    batch_size=load.batch_size,
                    quality=load.quality,
                    published=load.published,
                    distinct=False,
                )
            )
        for name in ("published", "stored", "rejected_events", "unreadable_count"):
            Metrics.counter(_COUNTS, name).inc(getattr(report, name))
        for rule, count in report.rejected.items():
            Metrics.counter(_RULES, rule).inc(count)
        for text in report.unreadable:
            Metrics.string_set(_TEXTS, "unreadable").add(text)


def main(arguments: list[str]) -> None:
    """Store the files in one job, and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m infra.beam.ingest", allow_abbrev=False)
    parser.add_argument("--source", action="append", required=True, help="a file or a glob pattern; repeatable")
    parser.add_argument("--format", choices=get_args(Format), default="auto")
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--no-quality-checks", action="store_true")
    own, flags = parser.parse_known_args(arguments)
    settings = Settings.from_environment()
    load_contract(settings.contract, settings.mask_key).require_mask_key()  # an invalid one fails before a job starts
    text = settings.contract.read_text("utf-8-sig")
    load = Load(text, str(settings.contract), own.format, own.batch_size, not own.no_quality_checks, datetime.now(UTC))
    print_result(store(settings, load, _find(own.source), flags))


def store(settings: Settings, load: Load, paths: Sequence[str], flags: Sequence[str]) -> Report:
    """Store files in one job with these flags of Beam; return the counts, without days and examples."""
    pipeline = beam.Pipeline(options=PipelineOptions(list(flags)))
    _ = (
        pipeline
        | "Files" >> beam.Create(list(paths))
        | "Spread files" >> beam.Reshuffle()
        | "Load" >> beam.ParDo(LoadFile(settings, load))
    )
    result = pipeline.run()
    result.wait_until_finish()
    report = Report()
    for each in result.metrics().query(MetricsFilter().with_namespace(_COUNTS))["counters"]:
        setattr(report, each.key.metric.name, each.committed)
    for each in result.metrics().query(MetricsFilter().with_namespace(_RULES))["counters"]:
        report.rejected[each.key.metric.name] = each.committed
    for each in result.metrics().query(MetricsFilter().with_namespace(_TEXTS))["string_sets"]:
        report.unreadable = sorted(each.committed)
    return report


def _find(patterns: Sequence[str]) -> list[str]:
    """Return the files that match the patterns; SourceError if one matches none."""
    found: dict[str, None] = {}
    for pattern, match in zip(patterns, FileSystems.match(list(patterns)), strict=True):
        if not match.metadata_list:
            raise SourceError(f"{pattern!r}: found no file that matches, expected at least one")
        found.update(dict.fromkeys(each.path for each in match.metadata_list))
    return sorted(found)


if __name__ == "__main__":
    drive(main)
