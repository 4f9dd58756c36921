"""Print the peak memory of reading large files: `python -m tests.memory --gigabytes 10 rows.csv rows.parquet`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.memory.large_files import STREAMS, measure_parquet, measure_stream


def main() -> None:
    """Measure each file in turn."""
    names = [*STREAMS, "rows.parquet"]
    parser = argparse.ArgumentParser(prog="python -m tests.memory")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--gigabytes", type=float, default=10)
    options = parser.parse_args()
    for name in options.names or names:
        size, started = int(options.gigabytes * 10**9), time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = measure_parquet(Path(folder), size) if name == "rows.parquet" else measure_stream(name, size)
        seconds = time.monotonic() - started
        print(
            f"{name}: {size / 10**9:g} GB, {found.records:,} records, {found.unreadable} unreadable, "
            f"peak {found.peak_mib:.0f} MiB, {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
