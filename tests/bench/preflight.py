"""Print the processor, and check that the programs of the rows are installed: the first step of `make bench`.

python -m tests.bench.preflight [--rows 1,5]

It needs only the standard library and no environment, so it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence

from tests.bench.programs import BEAM, Program
from tests.bench.report.machine import this_machine
from tests.bench.rows import ROWS, numbers_of


def missing_programs(numbers: Sequence[int], *, installed_later: Collection[Program] = ()) -> list[str]:
    """Return a line for each missing program: the rows that need it, and the command that installs it."""
    rows_of: dict[Program, list[int]] = {}
    for number in numbers:
        for program in ROWS[number].programs:
            rows_of.setdefault(program, []).append(number)
    return [
        f"{'row' if len(rows) == 1 else 'rows'} {', '.join(map(str, rows))}: "
        f"{program.name} isn't installed; install it with: {program.install}"
        for program, rows in rows_of.items()
        if program not in installed_later and not program.is_installed()
    ]


def main() -> None:
    """Print the processor; exit with 1 and a line for each missing program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="rows to measure, such as 1,5")
    parser.add_argument("--needs-beam", action="store_true", help="exit with 0 if a row needs Apache Beam, 1 otherwise")
    arguments = parser.parse_args()
    try:
        numbers = numbers_of(arguments.rows) if arguments.rows else list(ROWS)
    except ValueError as error:
        sys.exit(f"bench: ROWS: {error}")
    if arguments.needs_beam:
        sys.exit(not any(BEAM in ROWS[number].programs for number in numbers))
    print(this_machine(), flush=True)
    if lines := missing_programs(numbers, installed_later={BEAM}):
        sys.exit("\n".join(f"bench: {line}" for line in lines))


if __name__ == "__main__":
    main()
