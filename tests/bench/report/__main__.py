"""Write docs/benchmarks.md from the recorded runs: `python -m tests.bench.report`."""

from __future__ import annotations

from tests.bench.report import page, runs

if __name__ == "__main__":
    page.PAGE.write_text(page.markdown(runs.load()), "utf-8")
