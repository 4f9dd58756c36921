"""Test a contract with cases kept beside it: events, and the verdicts that they must get."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from shared import timestamps
from shared.contracts.model import Contract
from shared.errors import SourceError
from shared.toml_tables import Problem, read_table
from shared.validation.results import Accepted, Rejected, Rule, Verdict
from shared.validation.validator import Validator

# Of the case file of a contract: `music.cases.toml` is beside `music.toml`.
SUFFIXES = (".cases.toml", ".cases.jsonl")


class CaseTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One case: a table `[[cases]]` of a TOML file, or a line of a file of JSON lines.

    Attributes:
        name: what the case shows.
        verdict: the expected one.
        event: the received record.
        text: the received bytes, where they aren't a JSON object.
        published: the time of the first publication, by default now.
        rules: all rules that the event breaks, those with severity "warn" too.
        fields: all fields with findings.
        stored: the canonical event.
        row, qualifier: the cell key.
    """

    name: str
    verdict: Literal["stored", "rejected"]
    event: dict[str, Any] | None = None
    text: str | None = None
    published: datetime | None = None
    rules: list[str] | None = None
    fields: list[str] | None = None
    stored: dict[str, Any] | None = None
    row: str | None = None
    qualifier: str | None = None

    def check(self, where: str) -> None:
        """Raise Problem for keys that contradict each other, and for unknown rules."""
        if (self.event is None) == (self.text is None):
            raise Problem(f"{where}.event", self.event, "either event or text")
        for rule in self.rules or ():
            if rule not in get_args(Rule):
                raise Problem(f"{where}.rules", rule, f"rules among {', '.join(get_args(Rule))}")
        if self.verdict == "rejected":
            for key in ("stored", "row", "qualifier"):
                if getattr(self, key) is not None:
                    raise Problem(f"{where}.{key}", getattr(self, key), f'no {key}, since the verdict is "rejected"')


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case: what differs from the expected results; nothing if it passes."""

    name: str
    problems: tuple[str, ...]


def cases_beside(contract: Path) -> Path:
    """Return the case file of a contract.

    Raises:
        SourceError: there is none.
    """
    expected = [contract.with_suffix(suffix) for suffix in SUFFIXES]
    for path in expected:
        if path.is_file():
            return path
    raise SourceError(f"{contract}: found no cases beside it, expected {' or '.join(map(str, expected))}; or --cases")


def load_cases(path: Path) -> list[CaseTable]:
    """Read a case file: TOML, or JSON lines with any other suffix.

    Raises:
        SourceError: the file can't be read, or a case is invalid; the text names file, case and key.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: can't be read: {error.strerror}; expected a file of cases") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: byte {error.start} isn't UTF-8; expected a file of cases") from None
    tables = _toml_tables(text, path) if path.suffix == ".toml" else _json_tables(text, path)
    cases = []
    for where, table in tables:
        try:
            case = read_table(CaseTable, table, where)
            case.check(where)
        except Problem as problem:
            raise SourceError(f"{path}: {problem}") from None
        cases.append(case)
    if not cases:
        raise SourceError(f"{path}: found no cases, expected at least one")
    return cases


def run_cases(contract: Contract, cases: Sequence[CaseTable]) -> list[Outcome]:
    """Validate the event of each case, and compare the verdict with the expected one."""
    validator, now = Validator(contract), datetime.now(UTC)
    return [Outcome(case.name, tuple(_problems(case, _verdict(case, validator, now)))) for case in cases]


def _toml_tables(text: str, path: Path) -> Iterator[tuple[str, object]]:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: not TOML: {error}") from None
    unknown = next((key for key in document if key != "cases"), None)
    tables = document.get("cases")
    if unknown is not None or not isinstance(tables, list):
        raise SourceError(f"{path}: found {unknown or 'no cases'}, expected only tables [[cases]]")
    for number, table in enumerate(tables, 1):
        yield _where(number, table), table


def _json_tables(text: str, path: Path) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                table = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                raise SourceError(f"{path}, line {number}: not JSON: {error}; expected one case a line") from None
            yield _where(number, table, "line"), table


def _where(number: int, table: object, unit: str = "case") -> str:
    name = table.get("name") if isinstance(table, dict) else None
    return f"{unit} {number} ({name})" if isinstance(name, str) else f"{unit} {number}"


def _verdict(case: CaseTable, validator: Validator, now: datetime) -> Verdict:
    raw = msgspec.json.encode(case.event) if case.text is None else case.text.encode()
    return validator.validate(raw, now if case.published is None else timestamps.utc(case.published))


def _problems(case: CaseTable, verdict: Verdict) -> Iterator[str]:
    """Yield what differs from the expected results."""
    findings = verdict.findings if isinstance(verdict, Rejected) else verdict.warnings
    reasons = "; ".join(
        f"{' '.join(filter(None, (each.rule, each.field)))}: found {each.found}, expected {each.expected}"
        for each in findings
    )
    found = "rejected" if isinstance(verdict, Rejected) else "stored"
    if found != case.verdict:
        yield f"verdict: found {found}{f' ({reasons})' if reasons else ''}, expected {case.verdict}"
    broken: dict[str, set[str]] = {
        "rules": {str(each.rule) for each in findings},
        "fields": {each.field for each in findings if each.field},
    }
    for key, names in broken.items():
        expected = getattr(case, key)
        if expected is not None and names != set(expected):
            shown = ", ".join(sorted(names)) or "none"
            yield f"{key}: found {shown}{f' ({reasons})' if reasons else ''}, expected {', '.join(expected) or 'none'}"
    if isinstance(verdict, Accepted):
        yield from _stored_problems(case, verdict)


def _stored_problems(case: CaseTable, verdict: Accepted) -> Iterator[str]:
    event = msgspec.json.decode(verdict.value)
    if case.stored is not None and (expected := _as_json(case.stored)) != event:
        for key in dict.fromkeys((*event, *expected)):
            if event.get(key) != expected.get(key) or (key in event) != (key in expected):
                yield f"stored.{key}: found {_shown(event, key)}, expected {_shown(expected, key)}"
    keys = {"row": verdict.cell_key.row_key.decode(), "qualifier": verdict.cell_key.qualifier.decode()}
    for key, value in keys.items():
        if (wanted := getattr(case, key)) is not None and wanted != value:
            yield f"{key}: found {value}, expected {wanted}"


def _as_json(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with times as texts, as JSON has them."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return decoded


def _shown(event: dict[str, Any], key: str) -> str:
    return msgspec.json.encode(event[key]).decode() if key in event else "nothing"
