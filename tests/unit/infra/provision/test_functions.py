"""The addresses of functions, read from a fake Cloud Functions API over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import google.auth
import pytest
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import AuthorizedSession

from infra.provision import google_api
from infra.provision.functions import function_urls
from shared.config import Settings
from shared.errors import SettingsError, StoreUnavailableError
from tests.support.processes import free_port

SETTINGS = Settings("my-project", "my-instance", region="europe-west1")


class Api:
    """The API; `responses` has a status and a body for each path."""

    def __init__(self) -> None:
        self.address = ""
        self.responses: dict[str, tuple[int, Any]] = {}
        self.paths: list[str] = []

    def function(self, name: str, status: int, body: Any) -> None:
        self.responses[f"/v2/projects/my-project/locations/europe-west1/functions/{name}"] = status, body

    def urls(self, *names: str) -> dict[str, str]:
        return function_urls(SETTINGS, names, AuthorizedSession(AnonymousCredentials()), self.address)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.paths.append(self.path)
            status, body = api.responses.get(
                self.path, (404, {"error": {"message": "Resource not found", "code": 404}})
            )
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        api.address = f"http://127.0.0.1:{server.server_port}"
        yield api
        server.shutdown()
        thread.join()


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry for half a second only."""
    monkeypatch.setattr(google_api, "Retry", lambda on, timeout: Retry(on, initial=0.01, timeout=0.5))


def test_the_address_is_that_of_the_service(api: Api) -> None:
    api.function(
        "ingest",
        200,
        {
            "url": "https://europe-west1-my-project.cloudfunctions.net/ingest",
            "serviceConfig": {"uri": "https://ingest-x-ew.a.run.app"},
        },
    )

    assert api.urls("ingest") == {"ingest": "https://ingest-x-ew.a.run.app"}


def test_a_function_that_is_missing_or_has_no_service_yet_is_left_out(api: Api) -> None:
    api.function("aggregate", 200, {"state": "DEPLOYING"})

    assert api.urls("ingest", "aggregate") == {}


def test_a_project_without_the_api_has_no_functions(api: Api) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "x"}]
    message = "Cloud Functions API has not been used in project 1 before or it is disabled."
    api.function("ingest", 403, {"error": {"code": 403, "message": message, "details": details}})

    assert api.urls("ingest", "aggregate") == {}
    assert len(api.paths) == 1


def test_a_missing_permission_is_named(api: Api) -> None:
    api.function("ingest", 403, {"error": {"code": 403, "message": "Permission denied"}})

    with pytest.raises(
        SettingsError, match=r"function ingest: the permission that roles/cloudfunctions.viewer gives is"
    ):
        api.urls("ingest")


@pytest.mark.parametrize(("status", "body"), [(503, {"error": {"message": "busy"}}), (200, b"<html>")])
def test_an_api_that_fails_is_asked_again_and_then_named(
    api: Api, monkeypatch: pytest.MonkeyPatch, status: int, body: Any
) -> None:
    impatient(monkeypatch)
    api.function("ingest", status, body)

    with pytest.raises(StoreUnavailableError, match="function ingest: the service doesn't answer"):
        api.urls("ingest")
    assert len(api.paths) > 1


def test_an_unreachable_api_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    session = AuthorizedSession(AnonymousCredentials())

    with pytest.raises(StoreUnavailableError, match="function ingest: the service doesn't answer"):
        function_urls(SETTINGS, ["ingest"], session, f"http://127.0.0.1:{free_port()}")


def test_missing_credentials_name_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    def default(**_: Any) -> None:
        raise DefaultCredentialsError("none found")

    monkeypatch.setattr(google.auth, "default", default)

    with pytest.raises(SettingsError, match="functions: no credentials of Google Cloud: none found"):
        function_urls(SETTINGS, ["ingest"])
