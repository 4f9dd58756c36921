"""The JSON Schema of contract files agrees with the loader."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from infra.contracts.editor_schema import DESCRIPTIONS, editor_schema
from shared.contracts.loader import parse_contract
from shared.contracts.schema import AggregateTable, ChecksTable, EventTable, FieldTable
from shared.contracts.source import SourceFormat
from shared.errors import ContractError
from tests.support.samples import ROOT

CONTRACTS = [
    *(path for path in (ROOT / "shared" / "contracts").glob("*.toml") if not path.name.endswith(".cases.toml")),
    ROOT / "docs" / "snippets" / "hub.toml",
    ROOT / "tests" / "fuzz" / "everything.toml",
]


def is_valid(document: dict[str, Any]) -> bool:
    return bool(jsonschema_rs.Draft202012Validator(editor_schema()).is_valid(document))


def document(**tables: Any) -> dict[str, Any]:
    """Return a parsed contract, with further tables or keys."""
    plain = {
        "version": 1,
        "name": "test",
        "event": {"id": "id", "user": "user", "time": "time"},
        "fields": {"id": {"type": "string"}, "user": {"type": "string"}, "time": {"type": "timestamp"}},
    }
    return {**plain, **tables}


def test_it_is_a_schema() -> None:
    jsonschema_rs.meta.validate(editor_schema())


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_every_contract_is_valid(path: Path) -> None:
    assert is_valid(tomllib.loads(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "table", [SourceFormat, EventTable, FieldTable, ChecksTable, AggregateTable], ids=lambda table: table.__name__
)
def test_every_key_has_a_description(table: type[msgspec.Struct]) -> None:
    keys = {field.encode_name for field in msgspec.structs.fields(table)}

    assert keys <= DESCRIPTIONS[table.__name__].keys()


def test_the_description_of_a_table_is_one_line() -> None:
    tables = editor_schema()["$defs"]

    assert tables["SourceFormat"]["description"].startswith("[source]: how source files are written.")
    assert not [name for name, table in tables.items() if "\n" in table["description"]]


@pytest.mark.parametrize(
    "broken",
    [
        {"version": 2},
        {"name": ""},
        {"fields": {}},
        {"event": {"id": "id", "user": "user"}},
        {"event": {"id": "id", "user": "user", "time": "time", "bucket": "week"}},
        {"extra": {}},
        {"checks": {"unknown_fields": "ignore"}},
        {"source": {"format": "xml"}},
        {"source": {"format": "json", "delimiter": ";"}},
        {"aggregates": {"all": {"events": "counts"}}},
        {"aggregates": {"all": {"events": 1}}},
        {"fields": {**document()["fields"], "x": {"type": "text"}}},
        {"fields": {**document()["fields"], "x": {"type": "string", "min": 0}}},
        {"fields": {**document()["fields"], "x": {"type": "integer", "trim": True}}},
        {"fields": {**document()["fields"], "x": {"type": "string", "lenght": 1}}},
        {"fields": {**document()["fields"], "x": {"type": "timestamp", "unit": "days"}}},
    ],
)
def test_an_editor_marks_what_the_loader_refuses(broken: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        parse_contract(document(**broken), "test.toml")
    assert not is_valid(document(**broken))


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"fields": {**document()["fields"], "x": {"type": "integer", "trim": False}}},
        {"aggregates": {"all": {"events": "count", "users": " unique( user ) "}}},
        {"source": {"format": "csv", "delimiter": ";"}},
        {"source": {"delimiter": ";"}},
    ],
)
def test_an_editor_accepts_what_the_loader_accepts(tables: dict[str, Any]) -> None:
    parse_contract(document(**tables), "test.toml")
    assert is_valid(document(**tables))
