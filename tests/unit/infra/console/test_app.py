"""The console answers only this machine, changes nothing, and loads nothing from anywhere else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from infra.console.app import create_app
from infra.console.changes import change
from shared.config import Settings
from shared.errors import StoreUnavailableError
from tests.support.html_page import check_page

ORIGIN = "http://127.0.0.1:8087"


def test_the_first_page_is_days(client: TestClient) -> None:
    response = client.get("/")

    assert (response.status_code, response.headers["location"]) == (307, "/days")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8087", "localhost:1", "LOCALHOST", "[::1]:8087"])
def test_this_machine_is_answered(client: TestClient, host: str) -> None:
    assert client.get("/static/console.css", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["", "example.com", "127.0.0.1.example.com", "localhost:80@example.com", "10.0.0.1"])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    response = client.get("/days", headers={"host": host})

    assert response.status_code == 421
    assert "expected 127.0.0.1 or localhost" in response.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_an_unknown_method_is_refused(client: TestClient, method: str) -> None:
    response = client.request(method, "/days")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")


def test_a_page_takes_no_form(client: TestClient) -> None:
    response = client.post("/days", headers={"origin": ORIGIN}, content=b"")

    assert response.status_code == 405


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "http://example.com"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8087"},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
        {"origin": ORIGIN, "sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    response = client.post("/days", headers=headers, content=b"")

    assert response.status_code == 403
    assert "expected one of a page of the console" in response.text


@pytest.mark.parametrize("size", ["33554433", "9" * 30, "1_000"])
def test_a_large_form_is_refused(client: TestClient, size: str) -> None:
    response = client.post("/days", headers={"origin": ORIGIN, "content-length": size}, content=b"")

    assert response.status_code == (413 if size.isdecimal() else 411)


@pytest.mark.parametrize(("allow_changes", "status"), [(False, 403), (True, 200)])
async def test_only_a_console_that_may_change_something_serves_changes(allow_changes: bool, status: int) -> None:
    @change
    async def request_a_day(_request: Request) -> Response:
        return PlainTextResponse("requested")

    app = create_app(Settings("a-project", "an-instance"), allow_changes=allow_changes)
    app.router.routes.append(Route("/change", request_a_day, methods=["POST"]))
    response = TestClient(app, base_url=ORIGIN).post("/change", headers={"origin": ORIGIN}, content=b"")

    assert response.status_code == status
    assert ("--allow-changes" in response.text) is not allow_changes


@pytest.mark.parametrize("path", ["/days?last=x", "/static/console.css", "/nothing", "/"])
def test_every_response_has_the_security_headers(client: TestClient, tables: Any, path: str) -> None:
    headers = client.get(path).headers

    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_an_unknown_address_is_a_page_with_the_navigation(client: TestClient) -> None:
    response = client.get("/nothing")

    assert response.status_code == 404
    assert check_page(response.text).texts("p")[-2] == "Not Found"


def test_a_failing_table_is_a_page_with_the_error(client: TestClient, tables: Any) -> None:
    async def fail(*_arguments: object) -> None:
        raise StoreUnavailableError("bigtable: <b>no answer</b>")

    tables.state.runs = fail
    response = client.get("/days")

    assert response.status_code == 503
    assert "bigtable: <b>no answer</b>" in check_page(response.text).texts("p")


def test_the_stylesheet_has_both_themes_and_loads_nothing(client: TestClient) -> None:
    css = client.get("/static/console.css").text

    assert "prefers-color-scheme: dark" in css
    assert ":focus-visible" in css
    assert "url(" not in css
    assert "@import" not in css


def test_the_start_imports_no_client_of_google() -> None:
    """Each takes a second or more."""
    code = (
        "import sys, infra.console.app; print({'google.api_core', 'google.auth', 'google.pubsub_v1'} & {*sys.modules})"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
