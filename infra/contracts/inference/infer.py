"""Infer the contract of a file, and check that the sample keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from infra.contracts.inference import names
from infra.contracts.inference.columns import Column, columns_of
from infra.contracts.inference.draft import Draft, draft_contract
from infra.contracts.inference.roles import Roles, find_roles
from infra.contracts.inference.sample import Sample, read_sample
from infra.contracts.inference.times import Notation, notation_of
from infra.contracts.inference.toml_text import contract_text
from shared.contracts.loader import parse_contract, parse_toml
from shared.contracts.model import Contract
from shared.contracts.paths import join_path
from shared.contracts.source import Format, SourceFormat
from shared.errors import SourceError
from shared.sources.files import format_of
from shared.validation.results import Rejected
from shared.validation.validator import Validator

_LEAST_TIMES = 0.95  # share of a column's values; a log can have broken records


@dataclass(frozen=True)
class Choices:
    """What a person has decided: the paths of the id, the user and the time, as in a contract's `from`."""

    ids: tuple[str, ...] = ()
    user: str | None = None
    time: str | None = None


@dataclass(frozen=True)
class Inferred:
    """An inferred contract.

    Attributes:
        text: of the contract file.
        contract: the same, read from the text.
        records: of the sample.
        rejected: those of them that the contract rejects: they lack an id, a user or a time.
    """

    text: str
    contract: Contract
    records: int
    rejected: int


def infer_file(path: Path | None, form: Format, *, most: int, name: str | None, choices: Choices) -> Inferred:
    """Infer the contract of a file's records.

    Args:
        path: of the file; None for standard input.
        form: "auto", or the format.
        most: records of the sample.
        name: of the contract; by default that of the file.
        choices: fields that a person has decided on.

    Raises:
        SourceError: nothing can be read, or no field can be the user or the time of the events.
    """
    sample = read_sample(path, form, most)
    file = "stdin" if path is None else path.name
    return infer(sample, name or _contract_name(file), file, choices)


def infer(sample: Sample, name: str, file: str, choices: Choices) -> Inferred:
    """Infer the contract of a sample of that file."""
    columns = columns_of(sample.records, sample.whole)
    notations = {
        column: notation
        for column in columns
        if (notation := _notation(column, chosen=choices.time == join_path(column.path)))
    }
    by_path = {join_path(column.path): column for column in columns}
    roles = find_roles(
        columns,
        notations,
        sample.records,
        ids=[_chosen("--id", path, by_path) for path in choices.ids] or None,
        user=None if choices.user is None else _chosen("--user", choices.user, by_path),
        time=None if choices.time is None else _chosen("--time", choices.time, by_path),
    )
    return _kept_by(sample, columns, notations, roles, name, file)


def _kept_by(
    sample: Sample,
    columns: Sequence[Column],
    notations: Mapping[Column, Notation],
    roles: Roles,
    name: str,
    file: str,
) -> Inferred:
    """Return the contract without the fields whose rules reject records of the sample."""
    raws = [msgspec.json.encode(record) for record in sample.records]
    described = list(columns)
    while True:
        draft = draft_contract(name, described, notations, roles)
        text = contract_text(draft, _declared(sample.source, file), _header(sample, file))
        contract = parse_contract(parse_toml(text, file), file)
        rejected = [
            verdict
            for verdict in Validator(contract).validate_all(raws, datetime.now(UTC))
            if isinstance(verdict, Rejected)
        ]
        broken = _broken_fields(rejected, draft)
        if not broken:
            return Inferred(text, contract, len(raws), len(rejected))
        paths = {field.path for field in draft.fields if field.name in broken}
        described = [column for column in described if column.path not in paths]


def _broken_fields(rejected: Sequence[Rejected], draft: Draft) -> set[str]:
    """Return the fields, other than those of the cell key, that records of the sample break."""
    findings = (finding for verdict in rejected for finding in verdict.findings)
    return {finding.field for finding in findings if finding.severity == "reject"} - {
        *draft.ids,
        draft.user,
        draft.time,
        "",
    }


def _notation(column: Column, *, chosen: bool) -> Notation | None:
    if not column.only(str) and not column.only(int, float):
        return None
    named = chosen or names.is_named_as_time(column.path)
    return notation_of(column.present, named_as_time=named) or (
        notation_of(column.present, named_as_time=named, least_share=_LEAST_TIMES) if named else None
    )


def _declared(found: SourceFormat, file: str) -> SourceFormat:
    """Return what a contract has to declare of the source: not a format that each file shows itself."""
    plain = replace(found, format="auto")
    if plain == SourceFormat() and found.format != "access_log":
        return plain
    return plain if format_of(file) == found.format else found


def _chosen(option: str, path: str, columns: Mapping[str, Column]) -> Column:
    if path not in columns:
        raise SourceError(f"{option}: found {path!r}, expected one of the fields {', '.join(columns)}")
    return columns[path]


def _header(sample: Sample, file: str) -> list[str]:
    part = "all" if sample.complete else "a sample of"
    lines = [f"Inferred from {part} {len(sample.records):,} records of {file}."]
    if sample.unreadable:
        lines.append(f"{sample.unreadable:,} pieces of the sample can't be read.")
    return lines


def _contract_name(file: str) -> str:
    name = file.lower()
    for suffix in (".gz", ".bz2", ".zst", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".log", ".parquet", ".txt"):
        name = name.removesuffix(suffix)
    return name.replace(" ", "_") or "events"
