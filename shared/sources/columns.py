"""The types of CSV columns that a contract declares."""

from __future__ import annotations

from collections.abc import Mapping

from shared.contracts.model import Contract
from shared.contracts.paths import join_path
from shared.sources.csv_cells import ColumnType

_COLUMN_TYPES: dict[str, ColumnType] = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "object": "json",
    "array": "json",
}


def columns(contract: Contract) -> Mapping[str, ColumnType]:
    """Return the types of CSV columns, by the path of their field, as the contract declares them."""
    return {
        join_path(field.path): _COLUMN_TYPES.get(field.type, "number" if field.unit else "string")
        for field in contract.fields
    }
