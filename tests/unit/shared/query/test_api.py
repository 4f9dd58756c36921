"""Paths, methods and parameters of the read API, without a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from starlette.requests import Request

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.query import endpoints
from shared.query.api import QueryApi
from shared.query.problems import ProblemError
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable
from shared.tables.state import Run, StateTable
from tests.support.samples import MUSIC_CONTRACT

HOSTILE = "x\r\nset-cookie: a=b\r\n\r\n<script>"


@pytest.fixture
def api() -> QueryApi:
    return QueryApi(Bigtable(Settings("project", "instance")), load_contract(MUSIC_CONTRACT), 400)


def request(path: str, query: str = "", method: str = "GET") -> Request:
    return Request({"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": []})


async def problem(api: QueryApi, *arguments: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await api.respond(request(*arguments))
    return caught.value


async def test_an_unknown_path_is_404_with_the_known_ones(api: QueryApi) -> None:
    for path in ("/", "/v1", "/v1/events/", "/v2/events", HOSTILE):
        error = await problem(api, path)
        assert error.problem.status == 404
        assert "/v1/events, " in error.problem.detail


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_another_method_is_405_with_the_allowed_ones(api: QueryApi, method: str) -> None:
    for path in (*endpoints.ENDPOINTS, "/openapi.json"):
        error = await problem(api, path, "", method)
        assert (error.problem.status, error.headers) == (405, {"allow": "GET, HEAD"})


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("/v1/events", "user=u&start=2024-01-16T00:00:00Z&end=2024-01-15T00:00:00Z", "end"),
        ("/v1/events", "user=u&start=2000-01-01T00:00:00Z&end=2024-01-15T00:00:00Z", "end"),
        ("/v1/days", "from=2024-01-15&to=2024-01-14", "to"),
        ("/v1/days", "from=2024-01-01&to=2024-04-10", "to"),
        ("/v1/quality", "from=2024-01-15&to=2025-01-15", "to"),
        ("/v1/aggregates", "dimension=a&value=b&from=2024-01-15&to=2024-01-14", "to"),
        ("/v1/rejected", "day=2024-01-15&cursor=AAAA", "cursor"),
        ("/openapi.json", "format=yaml", '"format"'),
    ],
)
async def test_parameters_that_contradict_each_other_are_400(
    api: QueryApi, path: str, query: str, parameter: str
) -> None:
    error = await problem(api, path, query)

    assert error.problem.status == 400
    assert [each.parameter for each in error.problem.errors] == [parameter]


async def test_no_header_of_a_problem_has_a_value_of_the_request(api: QueryApi) -> None:
    for arguments in ((HOSTILE,), ("/v1/events", HOSTILE), ("/v1/events", "", HOSTILE)):
        response = (await problem(api, *arguments)).response()
        assert "set-cookie" not in response.headers
        assert not [value for _, value in response.raw_headers if b"<script>" in value or b"\n" in value]
        assert response.headers["cache-control"] == "no-store"


async def test_a_large_page_ends_before_its_limit(api: QueryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response of Cloud Run is limited."""
    cells = [FakeCell(number, b'{"large": "%s"}' % (b"x" * 40)) for number in range(5)]

    async def read(*arguments: Any) -> list[FakeCell]:
        return cells[: arguments[4]]

    monkeypatch.setattr(EventsTable, "cells_of_user", read)
    monkeypatch.setattr(endpoints, "MAX_PAGE_BYTES", 120)

    response = await api.respond(request("/v1/events", "user=u"))

    assert bytes(response.body).count(b"large") == 2
    assert b'"next":null' not in bytes(response.body)


async def test_a_failed_day_fails_the_range(api: QueryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> dict[str, Any]:
        raise ValueError("first")

    monkeypatch.setattr(AggregatesTable, "of_value", fail)
    monkeypatch.setattr(StateTable, "runs", no_runs)

    with pytest.raises(ValueError, match=r"^first$"):
        await api.respond(request("/v1/aggregates", "dimension=a&value=b&from=2024-01-15&to=2024-01-20"))


async def test_names_that_json_cannot_contain_are_replaced(
    api: QueryApi, monkeypatch: pytest.MonkeyPatch, top: Callable[..., Any]
) -> None:
    monkeypatch.setattr(AggregatesTable, "top", top)
    monkeypatch.setattr(StateTable, "runs", no_runs)

    response = await api.respond(request("/v1/top", "dimension=a&measure=b&day=2024-01-15"))

    assert response.body == '{"values":[{"value":"ü?","measures":{"m?":1}}],"partial_until":null}'.encode()


async def test_the_measures_of_a_partial_day_say_up_to_when_it_counts(
    api: QueryApi, monkeypatch: pytest.MonkeyPatch, top: Callable[..., Any]
) -> None:
    noon = datetime(2024, 1, 15, 12, tzinfo=UTC)

    async def runs(table: object, first: date, last: date) -> dict[date, Run]:
        assert (first, last) == (date(2024, 1, 15), date(2024, 1, 15))
        return {first: Run(int(noon.timestamp()) * 1_000_000, 3, 0, ["a"])}

    async def of_value(*_: object) -> dict[str, Any]:
        return {"m": 1}

    async def of_day(*_: object) -> list[Any]:
        return [("all", {"stored": 3})]

    async def no_late_days(_table: object) -> list[date]:
        return []

    monkeypatch.setattr(StateTable, "runs", runs)
    monkeypatch.setattr(StateTable, "late_days", no_late_days)
    for name, read in (("top", top), ("of_value", of_value), ("of_day", of_day)):
        monkeypatch.setattr(AggregatesTable, name, read)

    async def answer(path: str, query: str) -> Any:
        return json.loads((await api.respond(request(path, query))).body)

    days = "from=2024-01-15&to=2024-01-15"
    assert (await answer("/v1/top", "dimension=a&measure=b&day=2024-01-15"))["partial_until"] == "2024-01-15T12:00:00Z"
    [value] = (await answer("/v1/aggregates", f"dimension=a&value=v&{days}"))["days"]
    [quality] = (await answer("/v1/quality", days))["days"]
    [state] = (await answer("/v1/days", days))["days"]
    assert value["partial_until"] == quality["partial_until"] == "2024-01-15T12:00:00Z"
    assert (state["run"]["complete"], state["run"]["horizon"]) == (False, "2024-01-15T12:00:00Z")


async def no_runs(_table: object, _first: date, _last: date) -> dict[date, Run]:
    return {}


@pytest.fixture
def top() -> Callable[..., Any]:
    async def read(table: object, dimension: str, measure: str, day: date, limit: int) -> list[Any]:
        assert (dimension, measure, day, limit) == ("a", "b", date(2024, 1, 15), 10)
        return [("ü\ud800", {"m\udfff": 1})]

    return read


class FakeCell:
    """A cell of `events`."""

    def __init__(self, micros: int, value: bytes) -> None:
        self.micros = micros
        self.qualifier = b"q"
        self.value = value
