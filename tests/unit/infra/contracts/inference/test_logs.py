"""Contracts inferred from logs of other projects need at most three edited lines."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from infra.contracts.inference.infer import Choices, Inferred, infer_file
from shared.contracts.loader import load_contract
from shared.sources.columns import columns
from shared.sources.files import Record, SourceReader
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.support.samples import ROOT

LOGS = ROOT / "tests" / "data" / "logs"

# The edited lines of each, and the records that are rejected for want of a user.
EDITED = {
    "access": (0, 0),
    "audit": (2, 1),
    "campaigns": (1, 0),
    "clickstream": (1, 0),
    "edits": (0, 0),
    "netflow": (0, 0),
    "pages": (1, 0),
    "rsvp": (0, 0),
}


def log_of(name: str) -> Path:
    (path,) = (path for path in (LOGS / name).iterdir() if path.suffix != ".toml")
    return path


def inferred_from(name: str) -> Inferred:
    return infer_file(log_of(name), "auto", most=10_000, name=None, choices=Choices())


def lines_of(text: str) -> list[str]:
    """Return the lines of a contract without comments and blank lines."""
    lines = (line.partition("  # ")[0] for line in text.splitlines() if not line.startswith("#"))
    return [line for line in lines if line]


def edited_lines(inferred: str, checked: str) -> int:
    """Return how many lines a person has changed, added or removed."""
    first, second = lines_of(inferred), lines_of(checked)
    edits = SequenceMatcher(None, first, second, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for kind, i1, i2, j1, j2 in edits if kind != "equal")


def test_all_logs_are_counted() -> None:
    assert {path.name for path in LOGS.iterdir() if path.is_dir()} == EDITED.keys()


@pytest.mark.parametrize("name", EDITED)
def test_an_inferred_contract_needs_at_most_three_edited_lines(name: str) -> None:
    inferred = inferred_from(name)

    edited = edited_lines(inferred.text, (LOGS / name / "checked.toml").read_text("utf-8"))
    assert (edited, inferred.rejected) == EDITED[name]
    assert edited <= 3


@pytest.mark.parametrize("name", EDITED)
def test_the_checked_contract_stores_every_record_in_a_cell_of_its_own(name: str) -> None:
    contract = load_contract(LOGS / name / "checked.toml")
    reader = SourceReader([log_of(name)], source_format=contract.source, columns=columns(contract))
    records = [item for item in reader if isinstance(item, Record)]

    verdicts = Validator(contract).validate_all([record.raw for record in records], datetime.now(UTC))

    keys = {verdict.cell_key for verdict in verdicts if isinstance(verdict, Accepted)}
    assert len(keys) == len(records) > 2


def test_an_edited_line_counts_once() -> None:
    assert edited_lines("a = 1  # note\nb = 2\n\n# c\n", "a = 1\nb = 3\n") == 1
    assert edited_lines("a = 1\nb = 2\n", "b = 2\nc = 3\nd = 4\n") == 3
