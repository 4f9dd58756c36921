"""`contract diff --against` validates the stored events of a day against another contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.bigtable.client import Bigtable
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from tests.support.command_line import Sluice
from tests.support.samples import MUSIC_CONTRACT, lines, message, music_event

EVENTS = [music_event(number, duration=number, userId=f"user {number % 3}#") for number in range(100)]
Diff = Callable[..., tuple[int, Any]]


@pytest.fixture
async def diff(bigtable: Bigtable, sluice: Sluice, tmp_path: Path) -> Diff:
    """Store events of two days; return a function that compares the music contract with an edited one."""
    pipeline = IngestPipeline(bigtable, load_contract(MUSIC_CONTRACT))
    await pipeline.process(message(lines(EVENTS)))
    await pipeline.process(message(lines([music_event(1, timestamp="2024-01-16T00:00:00Z", duration=99999)])))

    def run(old: str, new: str, *options: str) -> tuple[int, Any]:
        edited = tmp_path / "edited.toml"
        text = MUSIC_CONTRACT.read_text("utf-8")
        assert old in text
        edited.write_text(text.replace(old, new, 1))
        done = sluice("contract", "diff", str(MUSIC_CONTRACT), str(edited), *options)
        return done.code, done.json if "--json" in options else done.out

    return run


DURATION = 'max = 86400\nseverity = "warn"'


def test_events_that_would_fail_are_counted_by_rule(diff: Diff) -> None:
    code, found = diff(DURATION, "max = 90", "--against", "2024-01-15", "--json")

    assert code == 0
    stored = found["stored"]
    assert (stored["events"], stored["failing"], stored["rules"], stored["moved"]) == (100, 9, {"range": 9}, 0)
    samples = stored["samples"]["range"]
    assert len(samples) == 3
    assert all(each["event"]["duration"] > 90 and each["event"]["user_id"] == each["user"] for each in samples)
    assert samples[0]["finding"]["field"] == "duration"


def test_the_check_fails_if_stored_events_would(diff: Diff) -> None:
    code, out = diff(DURATION, "max = 90", "--against", "2024-01-15", "--check")

    assert code == 1
    assert "100 stored events: 9 would be rejected, 0 would be in other cells\n  range: 9 events\n" in out
    assert diff(DURATION, "max = 100", "--against", "2024-01-15", "--check")[0] == 0


def test_a_range_of_days_is_read(diff: Diff) -> None:
    _, found = diff(DURATION, "max = 90", "--from", "2024-01-15", "--to", "2024-01-16", "--json")

    assert (found["stored"]["events"], found["stored"]["failing"]) == (101, 10)


@pytest.mark.parametrize(
    ("old", "new"), [('bucket = "day"', 'bucket = "hour"'), ('id = "event_id"', 'id = ["event_id", "song_id"]')]
)
def test_events_that_would_be_in_other_cells_are_counted(diff: Diff, old: str, new: str) -> None:
    code, found = diff(old, new, "--against", "2024-01-15", "--json", "--check")

    assert code == 1
    assert (found["stored"]["failing"], found["stored"]["moved"]) == (0, 100)


def test_paths_and_ages_do_not_concern_stored_events(diff: Diff) -> None:
    code, found = diff('max_future = "5m"', 'max_age = "1d"', "--against", "2024-01-15", "--json", "--check")

    assert (code, found["stored"]["failing"], found["stored"]["moved"]) == (0, 0, 0)
    code, found = diff('from = "songId"', 'from = "song"', "--against", "2024-01-15", "--json", "--check")
    assert (code, found["stored"]["failing"]) == (0, 0)
