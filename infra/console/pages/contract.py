"""The page *Contract*: the contract in use, and the verdicts on events of a form."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from infra.console.rendering import page
from infra.console.tables import tables_of
from infra.console.trial.forms import reading, upload_of
from infra.console.trial.outcomes import MAX_SHOWN, Outcomes
from infra.console.trial.validation import MAX_SECONDS, in_thread, validate_file
from shared.contracts.model import Aggregate, Contract, Field, Measure

# The rules and the transform of a field, by their keys in the contract file.
_SETTINGS = {
    "default": "default",
    "trim": "trim",
    "case": "case",
    "unit": "unit",
    "format": "format",
    "one_of": "one_of",
    "pattern": "pattern",
    "min_length": "min_length",
    "max_length": "max_length",
    "min": "minimum",
    "max": "maximum",
    "max_future": "max_future",
    "max_age": "max_age",
}
_UNITS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000}
_LONGEST = 500  # characters of a value


async def show(request: Request) -> Response:
    """Show the contract and an empty form."""
    return _page(request, "", "", None)


async def validate(request: Request) -> Response:
    """Show the verdicts on the events of the form: the file `file`, or else the text `events`."""
    async with reading(request) as form:
        upload = upload_of(form, "events", "file")
        contract = tables_of(request).contract
        outcomes = await in_thread(partial(validate_file, upload.name, upload.file, contract))
    return _page(request, upload.name, upload.text, outcomes)


def _page(request: Request, name: str, text: str, outcomes: Outcomes | None) -> Response:
    tables = tables_of(request)
    contract = tables.contract
    return page(
        request,
        "contract.html",
        contract=contract,
        contract_text=tables.contract_text,
        fields=[(field, ".".join(field.path), _settings(field)) for field in contract.fields],
        aggregates=[_aggregate_texts(each) for each in contract.aggregates],
        unknown_fields=_unknown_fields(contract),
        name=name,
        text=text,
        outcomes=outcomes,
        most=MAX_SHOWN,
        seconds=MAX_SECONDS,
    )


def _settings(field: Field) -> list[str]:
    """Return the rules and the transform of a field as the contract file has them."""
    settings = []
    for key, attribute in _SETTINGS.items():
        value = getattr(field, attribute)
        if value is not None and value is not False:
            settings.append(f"{key} = {_json(_duration(value) if key in ('max_future', 'max_age') else value)}")
    return settings


def _duration(microseconds: int) -> str:
    """Return a duration in the largest unit that divides it."""
    unit = next(unit for unit, size in _UNITS.items() if microseconds % size == 0)
    return f"{microseconds // _UNITS[unit]}{unit}"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _unknown_fields(contract: Contract) -> str:
    return {"keep": "kept", "drop": "dropped", "reject": "a reason to reject the event"}[contract.unknown_fields]


def _aggregate_texts(aggregate: Aggregate) -> tuple[str, str, list[str], list[str]]:
    """Return the dimension, the field that it groups by, the conditions and the measures."""
    conditions = [f"{name} is {' or '.join(map(_json, values))}" for name, values in aggregate.where]
    return aggregate.dimension, aggregate.by or "", conditions, [_measure_text(each) for each in aggregate.measures]


def _measure_text(measure: Measure) -> str:
    return f"{measure.name} = {measure.function}{f'({measure.field})' if measure.field else ''}"
