"""The shipped price table, and tables of users."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.deploy.cost import price_table
from shared.errors import SettingsError


def test_every_price_has_a_source() -> None:
    prices = price_table.load()

    assert prices.dataflow is not None
    for part in (
        prices.pubsub,
        prices.run,
        prices.bigtable,
        prices.storage,
        prices.scheduler,
        prices.logging,
        prices.dataflow,
    ):
        assert part.source.startswith("https://cloud.google.com/")
        assert part.looked_up <= prices.date


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("per_tib = 40.0", 'per_tib = "dear"'), "Expected `float`, got `str` - at `$.pubsub.per_tib`"),
        (("per_tib = 40.0", ""), "missing required field `per_tib`"),
        (("per_tib = 40.0", "per_tib = 40.0\nper_gib = 1"), "unknown field `per_gib`"),
        (("[pubsub]", "[pubsub"), "prices.toml"),
    ],
)
def test_an_invalid_table_is_rejected_with_its_key(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(price_table.PRICES.read_text().replace(*change))

    with pytest.raises(SettingsError, match=r"mine\.toml") as raised:
        price_table.load(file)

    assert expected in str(raised.value)
