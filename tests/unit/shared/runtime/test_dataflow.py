"""A day that is expected to be large goes to Dataflow; the requests go to a local server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError

from shared.config import Settings
from shared.errors import SettingsError, SluiceError, StoreUnavailableError
from shared.runtime import aggregate_instance, dataflow

DAY = date(2024, 1, 15)
ENVIRONMENT = {
    "GCP_PROJECT_ID": "my-project",
    "BIGTABLE_INSTANCE": "my-instance",
    "SLUICE_NAME": "shop",
    "SLUICE_CONTRACT": "shared/contracts/music.toml",
    "GCP_REGION": "europe-west1",
    "SLUICE_DATAFLOW_FROM_EVENTS": "1000",
    "SLUICE_DATAFLOW_TEMPLATE": "gs://my-bucket/template.json",
    "SLUICE_DATAFLOW_STAGING": "gs://my-bucket/staging",
    "SLUICE_DATAFLOW_IMAGE": "europe-west1-docker.pkg.dev/my-project/sluice/beam:1",
    "SLUICE_DATAFLOW_SERVICE_ACCOUNT": "workers@my-project.iam.gserviceaccount.com",
}
LAUNCHED = {"job": {"id": "2024-01-15_00_00_00-1", "name": "shop-aggregate-20240115"}}


class Api:
    """A local Dataflow API with one answer; it keeps the requests."""

    def __init__(self) -> None:
        self.status, self.answer = 200, json.dumps(LAUNCHED)
        self.requests: list[tuple[str, Any]] = []


@contextmanager
def serving(api: Api) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            api.requests.append((self.path, json.loads(body)))
            self.send_response(api.status)
            self.end_headers()
            self.wfile.write(api.answer.encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), "my-project"))
    api = Api()
    with serving(api) as address:
        monkeypatch.setattr(dataflow, "ENDPOINT", address)
        yield api


async def launch() -> str:
    settings = Settings.from_environment(ENVIRONMENT)
    assert settings.dataflow is not None
    return await dataflow.launch(settings, settings.dataflow, DAY)


async def test_the_request_names_the_day_the_template_and_the_account(api: Api) -> None:
    assert await launch() == "2024-01-15_00_00_00-1"

    [(path, body)] = api.requests
    assert path == "/v1b3/projects/my-project/locations/europe-west1/flexTemplates:launch"
    assert body == {
        "launchParameter": {
            "jobName": "shop-aggregate-20240115",
            "containerSpecGcsPath": "gs://my-bucket/template.json",
            "parameters": {
                "date": "2024-01-15",
                "project_id": "my-project",
                "instance_id": "my-instance",
                "name": "shop",
                "contract": "music.toml",
            },
            "environment": {
                "serviceAccountEmail": "workers@my-project.iam.gserviceaccount.com",
                "tempLocation": "gs://my-bucket/staging",
                "stagingLocation": "gs://my-bucket/staging",
                "maxWorkers": 20,
                "sdkContainerImage": "europe-west1-docker.pkg.dev/my-project/sluice/beam:1",
            },
        }
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, StoreUnavailableError),
        (500, StoreUnavailableError),
        (503, StoreUnavailableError),
        (400, SettingsError),
        (403, SettingsError),
        (404, SettingsError),
    ],
)
async def test_an_error_of_the_api_is_transient_or_permanent(api: Api, status: int, kind: type[SluiceError]) -> None:
    api.status, api.answer = status, "the reason"

    with pytest.raises(kind, match=f"Dataflow job shop-aggregate-20240115: .*{status}: the reason"):
        await launch()


async def test_no_answer_is_transient(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow, "ENDPOINT", "http://127.0.0.1:9")  # the discard port has no server

    with pytest.raises(StoreUnavailableError, match="Dataflow job shop-aggregate-20240115: no answer"):
        await launch()


async def test_missing_credentials_are_an_error_of_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_options: object) -> None:
        raise DefaultCredentialsError("none found")

    monkeypatch.setattr(google.auth, "default", fail)

    with pytest.raises(SettingsError, match="found no valid credentials"):
        await launch()


class Pipeline:
    """A pipeline that expects a number of events, and keeps the days it computes."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.days: list[date] = []

    async def expected_events(self, day: date) -> int:
        return self.expected

    async def run(self, day: date) -> None:
        self.days.append(day)


@pytest.mark.parametrize(("expected", "launched"), [(999, False), (1_000, True)])
async def test_a_day_goes_to_dataflow_from_the_configured_size_on(
    api: Api, monkeypatch: pytest.MonkeyPatch, expected: int, launched: bool
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    pipeline: Any = Pipeline(expected)

    await aggregate_instance.run_day(pipeline, DAY)

    assert (pipeline.days, len(api.requests)) == (([], 1) if launched else ([DAY], 0))


async def test_without_the_setting_no_day_goes_to_dataflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GCP_PROJECT_ID", "BIGTABLE_INSTANCE"):
        monkeypatch.setenv(name, "x")
    pipeline: Any = Pipeline(10**12)

    await aggregate_instance.run_day(pipeline, DAY)

    assert pipeline.days == [DAY]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("SLUICE_DATAFLOW_FROM_EVENTS", "many", "found 'many', expected a number above 0"),
        ("SLUICE_DATAFLOW_TEMPLATE", "", "found '', expected gs://BUCKET/PATH"),
        ("SLUICE_DATAFLOW_STAGING", "my-bucket/x", "found 'my-bucket/x', expected gs://BUCKET/PATH"),
        ("SLUICE_DATAFLOW_IMAGE", "", "found '', expected an image such as REGION-docker.pkg.dev"),
        ("SLUICE_DATAFLOW_SERVICE_ACCOUNT", "workers", "found 'workers', expected the address of an account"),
        ("SLUICE_DATAFLOW_MAX_WORKERS", "0", "found '0', expected a number above 0 and up to 1000"),
    ],
)
def test_an_invalid_setting_is_named(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({**ENVIRONMENT, variable: value})

    assert str(error.value).startswith(f"{variable}: {expected}")
