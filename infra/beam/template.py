"""The entry of the Flex Template by which the function `aggregate` launches a job that computes a day.

Dataflow's launcher passes the parameters that `template-metadata.json` lists, and flags of Beam. The launcher ends when
the job is submitted.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date

from infra.beam.aggregate import start
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract


def main(arguments: list[str]) -> None:
    """Submit the job of a day."""
    parser = argparse.ArgumentParser(prog="template", allow_abbrev=False)
    for name in ("date", "project_id", "instance_id", "name", "contract"):
        parser.add_argument(f"--{name}", required=True)
    own, flags = parser.parse_known_args(arguments)
    settings = Settings.from_environment(
        project_id=own.project_id,
        instance_id=own.instance_id,
        name=own.name,
        contract=DEFAULT_CONTRACT.parent / own.contract,
    )
    start(settings, load_contract(settings.contract), [date.fromisoformat(own.date)], flags)


if __name__ == "__main__":
    main(sys.argv[1:])
