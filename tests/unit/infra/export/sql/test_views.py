"""The view of a dimension has a typed column for each measure, whatever the names are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from infra.export.day_tables.aggregates import SCHEMA
from infra.export.sql.session import session
from infra.export.sql.views import dimension_views
from shared.contracts.loader import parse_contract
from shared.contracts.model import Contract


def contract(aggregates: dict[str, Any]) -> Contract:
    fields = {
        "id": {"type": "string"},
        "user": {"type": "string"},
        "time": {"type": "timestamp"},
        "units": {"type": "integer"},
        "price": {"type": "number"},
        "day": {"type": "string"},
    }
    event = {"id": "id", "user": "user", "time": "time"}
    return parse_contract(
        {"version": 1, "name": "c", "event": event, "fields": fields, "aggregates": aggregates}, "c.toml"
    )


def rows(*measures: tuple[str, str, str, int | None, float, str]) -> pa.Table:
    columns = list(zip(*measures, strict=True))
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA).append_column("day", pa.array(["2024-01-15"] * len(measures)))


def test_measures_have_the_type_of_their_values() -> None:
    views = dimension_views(
        contract(
            {
                'o\'dim "x"': {
                    "by": "user",
                    "n": "count",
                    "units": "sum(units)",
                    "price": "sum(price)",
                    "m": "mean(units)",
                }
            }
        )
    )
    dimension = 'o\'dim "x"'
    table = rows(
        (dimension, "u", "n", 2, 2.0, "2"),
        (dimension, "u", "units", None, float(2**64), str(2**64 + 1)),
        (dimension, "u", "price", 3, 3.0, "3"),
        (dimension, "u", "m", None, 1.5, "1.5"),
        ("other", "u", "n", 9, 9.0, "9"),
    )

    with session({"aggregates": table}, views, 64) as opened:
        result = opened.result('select * from "aggregates_o\'dim ""x"""')

        assert result.names == ["day", "user", "n", "units", "price", "m"]
        assert list(result.rows) == [("2024-01-15", "u", 2, 2**64 + 1, 3.0, 1.5)]


@pytest.mark.parametrize(
    ("aggregate", "names"),
    [
        ({"by": "user", "USER": "count", "Day": "count"}, ["_day", "_user", "USER", "Day"]),
        ({"by": "day", "n": "count"}, ["day", "_day", "n"]),
        ({"n": "count"}, ["day", "n"]),
    ],
)
def test_columns_with_the_same_name_are_told_apart(aggregate: dict[str, Any], names: list[str]) -> None:
    with session(
        {"aggregates": rows(("d", "u", "n", 1, 1.0, "1"))}, dimension_views(contract({"d": aggregate})), 64
    ) as opened:
        assert opened.result("select * from aggregates_d").names == names


def test_without_aggregates_there_are_no_views() -> None:
    with session({"events": pa.table({"a": [1]})}, dimension_views(contract({"d": {"n": "count"}})), 64) as opened:
        assert list(opened.result("select view_name from duckdb_views() where not internal").rows) == [("events",)]
