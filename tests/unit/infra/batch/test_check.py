"""Distinct cell keys, and the events and users of each day, are counted once."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from infra.batch.check import DistinctCellKeys
from shared.row_keys import Bucket, cell_key_of


@pytest.mark.parametrize("bucket", ["day", "hour"])
def test_cell_keys_are_counted_once_and_users_once_per_day(bucket: Bucket) -> None:
    found = DistinctCellKeys()
    cell_keys = [
        cell_key_of(user, event_id, datetime(2024, 1, day, hour, tzinfo=UTC), bucket)
        for user, event_id, day, hour in (
            ("a#b", "1", 16, 1),
            ("a#b", "2", 15, 1),
            ("a#b", "3", 15, 2),
            ("c", "4", 15, 2),
            ("c", "4", 15, 2),
        )
    ]

    assert found.add(cell_keys) == 4
    assert found.add(cell_keys[:1]) == 0
    assert found.add(cell_keys) == 0
    assert list(found.days().items()) == [(date(2024, 1, 15), (3, 2)), (date(2024, 1, 16), (1, 1))]
