"""The functions, loaded like the framework loads them and called over HTTP with CloudEvents."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from functions_framework.aio import create_asgi_app
from starlette.requests import Request
from starlette.responses import Response

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import ContractError, OverloadedError, RequestError, StoreRefusedError, StoreUnavailableError
from shared.ingest.flow_control import Reservation
from shared.ingest.pipeline import IngestPipeline, validate_message
from shared.pubsub.load_requests import LoadRequest, ObjectVersion, notification, parse, range_request
from shared.pubsub.message import Message
from shared.runtime import aggregate_instance, ingest_instance, load_instance, logs, query_instance, responses
from shared.validation.results import Accepted, Rejected, Verdict
from tests.support.http import get
from tests.support.samples import MUSIC_CONTRACT, ROOT, cloud_event, lines, music_event, push, structured_event

PUSHED = ("ingest", "aggregate")
MAINS = {name: ROOT / "functions" / name / "main.py" for name in (*PUSHED, "query", "load")}
PAYLOAD = ROOT / "tests" / "data" / "pubsub_message.json"

ERRORS = [
    (OverloadedError("32 MB are waiting"), 429),
    (StoreUnavailableError("not acknowledged within 60 s"), 503),
    (StoreRefusedError("no such table"), 500),
    (ContractError("music.toml: wrong"), 500),
]


class HttpResponse(NamedTuple):
    status: int
    body: str


async def post(app: Any, headers: dict[str, str], body: bytes) -> HttpResponse:
    """Send one HTTP request through the ASGI interface, as a server would."""
    sent: list[dict[str, Any]] = []
    received = iter([{"type": "http.request", "body": body, "more_body": False}])
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8080),
    }

    async def receive() -> dict[str, Any]:
        return next(received, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    return HttpResponse(sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]).decode())


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Load a function as `functions-framework --target NAME --source functions/NAME/main.py` does."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "main", None)  # the framework puts the function there
    return lambda name: create_asgi_app(name, str(MAINS[name]), "cloudevent")


class FakeIngestPipeline(IngestPipeline):
    """Validates events, records them instead of storing them, and fails as a test specifies."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(Bigtable(Settings("project", "instance")), load_contract(MUSIC_CONTRACT))
        self.processed: list[tuple[list[Verdict], datetime, str]] = []
        self._error = error

    async def _process_small(self, message: Message) -> dict[str, int]:
        return await self._store(validate_message(self._validator, message), message.published, message.message_id)

    async def _process_large(self, message: Message, reservation: Reservation) -> None:
        self._count(await self._process_small(message))

    async def _store(self, verdicts: Any, published: datetime, source: str) -> dict[str, int]:
        await asyncio.sleep(0)
        if self._error:
            raise self._error
        self.processed.append((verdicts, published, source))
        return {}


class FakeAggregatePipeline:
    """Returns given days for each message, records computed and requested days, and fails as a test specifies."""

    def __init__(self, days: list[date], error: Exception | None = None) -> None:
        self.messages: list[Message] = []
        self.computed: list[date] = []
        self.requested: list[date] = []
        self._days = days
        self._error = error

    async def days(self, message: Message) -> list[date]:
        self.messages.append(message)
        return self._days

    async def run(self, day: date) -> None:
        self._fail()
        self.computed.append(day)

    async def request_days(self, days: list[date]) -> None:
        self._fail()
        self.requested += days

    def _fail(self) -> None:
        if self._error:
            raise self._error


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakeIngestPipeline:
    fake = FakeIngestPipeline()
    monkeypatch.setattr(ingest_instance, "ingest_pipeline", lambda: fake)
    return fake


@pytest.fixture
def make_pipeline(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeAggregatePipeline]:
    def make(days: list[date], error: Exception | None = None) -> FakeAggregatePipeline:
        fake = FakeAggregatePipeline(days, error)
        monkeypatch.setattr(aggregate_instance, "aggregate_pipeline", lambda: fake)
        monkeypatch.setattr(aggregate_instance, "request_days", fake.request_days)
        monkeypatch.setattr(responses, "_RATE_LIMITED", logs.RateLimitedLog())
        return fake

    return make


@pytest.mark.parametrize("main", MAINS.values(), ids=MAINS)
def test_a_main_is_short_and_has_no_module_beside_it(main: Path) -> None:
    assert len(main.read_text("utf-8").splitlines()) <= 40
    # the framework puts its folder on sys.path, where a module could hide an installed one
    assert {path.name for path in main.parent.glob("*.py")} <= {"__init__.py", "main.py"}


@pytest.mark.parametrize("name", MAINS)
def test_a_function_starts_without_importing_slow_clients(name: str) -> None:
    late = {"google.pubsub_v1", "google.cloud.storage"} | ({"google.protobuf"} if name == "ingest" else set())
    code = f"import functions.{name}.main, sys; print(bool({late} & sys.modules.keys()))"
    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert completed.stdout == "False\n"


# ingest


async def test_a_message_is_validated_and_stored(framework: Callable[[str], Any], pipeline: FakeIngestPipeline) -> None:
    headers, body = cloud_event(
        lines([music_event(1), music_event(2, userId="")]), message_id="77", published="2024-01-15T12:00:00Z"
    )

    response = await post(framework("ingest"), headers, body)

    assert response == (200, "OK")
    ((verdicts, published, source),) = pipeline.processed
    assert [type(verdict) for verdict in verdicts] == [Accepted, Rejected]
    assert (published, source) == (datetime(2024, 1, 15, 12, 0, tzinfo=UTC), "77")


@pytest.mark.parametrize("form", [push, cloud_event, structured_event])
async def test_a_push_and_both_forms_of_a_cloud_event_are_stored(
    framework: Callable[[str], Any], pipeline: FakeIngestPipeline, form: Callable[..., tuple[dict[str, str], bytes]]
) -> None:
    headers, body = form(lines([music_event(1)]), message_id="77", published="2024-01-15T12:00:00Z")

    response = await post(framework("ingest"), headers, body)

    assert response == (200, "OK")
    (((verdict,), published, source),) = pipeline.processed
    assert isinstance(verdict, Accepted)
    assert (published, source) == (datetime(2024, 1, 15, 12, 0, tzinfo=UTC), "77")


async def test_a_push_of_google_cloud_is_stored(framework: Callable[[str], Any], pipeline: FakeIngestPipeline) -> None:
    headers, _ = push(b"")

    response = await post(framework("ingest"), headers, PAYLOAD.read_bytes())

    assert response.status == 200
    ((verdicts, published, source),) = pipeline.processed
    assert [type(verdict) for verdict in verdicts] == [Accepted] * 3
    assert (published.isoformat(), source) == ("2024-01-15T12:34:56.789000+00:00", "11260433825339102")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"{}", "not_json"),
        (b'{"message": {"data": "not base64!"}}', "not_json"),
        (b'{"message": {}}', "not_json"),
        (b"[1]", "not_json"),
        (b'"text"', "not_json"),
        (b"", "not_json"),
        (b'{"message": {"data": "WzFd"}}', "not_an_object"),
    ],
)
async def test_data_that_is_no_event_is_rejected_and_acknowledged(
    framework: Callable[[str], Any], pipeline: FakeIngestPipeline, body: bytes, rule: str
) -> None:
    headers, _ = cloud_event(b"", message_id="ce", published="2024-01-15T12:00:00Z")

    response = await post(framework("ingest"), headers, body)

    assert response.status == 200
    (((verdict,), published, source),) = pipeline.processed
    assert [finding.rule for finding in verdict.findings] == [rule]
    assert (published, source) == (datetime(2024, 1, 15, 12, 0, tzinfo=UTC), "ce")


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_a_message_that_is_not_stored_is_not_acknowledged(
    framework: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
) -> None:
    fake = FakeIngestPipeline(error)
    monkeypatch.setattr(ingest_instance, "ingest_pipeline", lambda: fake)

    response = await post(framework("ingest"), *cloud_event(lines([music_event()]), message_id="77"))

    assert response.status == status
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["message"] == str(error)
    assert json.loads(line)["message_id"] == "77"


async def test_a_failed_start_of_an_instance_is_logged_in_one_line(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GCP_PROJECT_ID", raising=False)
    ingest_instance.ingest_pipeline.cache_clear()

    response = await post(framework("ingest"), *cloud_event(lines([music_event()])))

    assert response.status == 500
    (line,) = capsys.readouterr().out.splitlines()
    assert "GCP_PROJECT_ID" in json.loads(line)["message"]


async def test_messages_are_processed_concurrently(
    framework: Callable[[str], Any], pipeline: FakeIngestPipeline
) -> None:
    app = framework("ingest")

    http_responses = await asyncio.gather(
        *(post(app, *cloud_event(lines([music_event(number)]), message_id=f"{number}")) for number in range(20))
    )

    assert {response.status for response in http_responses} == {200}
    assert {source for _, _, source in pipeline.processed} == {f"{number}" for number in range(20)}


# aggregate


async def test_a_single_requested_day_is_computed_at_once(
    framework: Callable[[str], Any], make_pipeline: Callable[..., FakeAggregatePipeline]
) -> None:
    fake = make_pipeline([date(2024, 1, 15)])

    response = await post(framework("aggregate"), *cloud_event(b'{"date": "2024-01-15"}', message_id="77"))

    assert response == (200, "OK")
    assert (fake.computed, fake.requested) == ([date(2024, 1, 15)], [])
    assert (fake.messages[0].data, fake.messages[0].message_id) == (b'{"date": "2024-01-15"}', "77")


async def test_several_days_are_requested_one_by_one_and_none_is_computed(
    framework: Callable[[str], Any], make_pipeline: Callable[..., FakeAggregatePipeline]
) -> None:
    fake = make_pipeline([date(2024, 1, 15), date(2024, 1, 16)])

    response = await post(framework("aggregate"), *cloud_event(b"{}"))

    assert response == (200, "OK")
    assert (fake.computed, fake.requested) == ([], [date(2024, 1, 15), date(2024, 1, 16)])


async def test_a_request_that_another_run_has_answered_is_acknowledged(
    framework: Callable[[str], Any], make_pipeline: Callable[..., FakeAggregatePipeline]
) -> None:
    make_pipeline([], StoreUnavailableError("a day was computed or requested"))

    response = await post(framework("aggregate"), *cloud_event(b'{"date": "today"}'))

    assert response == (200, "OK")


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_a_failed_day_fails_its_request_and_is_logged(
    framework: Callable[[str], Any],
    make_pipeline: Callable[..., FakeAggregatePipeline],
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
) -> None:
    make_pipeline([date(2024, 1, 15)], error)

    response = await post(framework("aggregate"), *cloud_event(b"{}", message_id="77"))

    assert response.status == status
    line = json.loads(capsys.readouterr().out)
    assert (line["message"], line["message_id"], line["day"]) == (str(error), "77", "2024-01-15")


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_days_that_cannot_be_requested_fail_the_request(
    framework: Callable[[str], Any], make_pipeline: Callable[..., FakeAggregatePipeline], error: Exception, status: int
) -> None:
    make_pipeline([date(2024, 1, 15), date(2024, 1, 16)], error)

    response = await post(framework("aggregate"), *cloud_event(b"{}"))

    assert response.status == status


async def test_an_impossible_request_is_logged_and_acknowledged(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> FakeAggregatePipeline:
        raise RequestError("message 77: found what isn't JSON")

    monkeypatch.setattr(aggregate_instance, "aggregate_pipeline", fail)

    response = await post(framework("aggregate"), *cloud_event(b"nonsense", message_id="77"))

    assert response.status == 200
    assert json.loads(capsys.readouterr().out)["severity"] == "ERROR"


# query


async def test_a_request_to_query_gets_the_response_of_the_api(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class FakeApi:
        async def respond(self, request: Request) -> Response:
            return Response(request.url.path)

    monkeypatch.setattr(query_instance, "query_api", FakeApi)

    answer = await get(framework("query"), "/v1/events")

    assert (answer.status, answer.body) == (200, b"/v1/events")


async def test_a_failed_start_of_query_is_a_problem_and_one_log_line(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GCP_PROJECT_ID", raising=False)
    query_instance.query_api.cache_clear()

    answer = await get(framework("query"), "/v1/events")

    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "GCP_PROJECT_ID" not in answer.body.decode()
    (line,) = capsys.readouterr().out.splitlines()
    assert "GCP_PROJECT_ID" in json.loads(line)["message"]


# Neither a push nor a CloudEvent


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/json"}, b'{"message": "e30="}'),
        ({"content-type": "application/json"}, b'{"data": "e30="}'),
        ({"content-type": "application/cloudevents+json"}, b'{"message": {"data": "e30="}}'),
        ({"content-type": "application/json", "ce-id": "1", "ce-specversion": "1.0"}, b"{}"),
        ({"content-type": "text/plain"}, b"hello"),
        ({}, b""),
    ],
)
@pytest.mark.parametrize("name", PUSHED)
async def test_a_request_without_a_message_is_refused_before_the_pipeline(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, name: str, headers: dict[str, str], body: bytes
) -> None:
    monkeypatch.setattr(ingest_instance, "ingest_pipeline", None)
    monkeypatch.setattr(aggregate_instance, "aggregate_pipeline", None)

    response = await post(framework(name), headers, body)

    assert response.status == 400
    assert "CloudEvent" in response.body


# load


class FakeLoadPipeline:
    """Records what messages request, and fails as a test specifies."""

    def __init__(self, error: Exception | None = None) -> None:
        self.requests: list[LoadRequest | None] = []
        self._error = error

    async def process(self, message: Message) -> None:
        self.requests.append(parse(message))
        if self._error:
            raise self._error


@pytest.fixture
def make_load_pipeline(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeLoadPipeline]:
    def make(error: Exception | None = None) -> FakeLoadPipeline:
        fake = FakeLoadPipeline(error)
        monkeypatch.setattr(load_instance, "load_pipeline", lambda: fake)
        monkeypatch.setattr(responses, "_RATE_LIMITED", logs.RateLimitedLog())
        return fake

    return make


OBJECT = ObjectVersion("my-drops", "day 1/events.csv", 1_700_000_000_000_001)
# The fields of an object in a CloudEvent that the function needs, and some others
# (https://github.com/googleapis/google-cloudevents/blob/main/proto/google/events/cloud/storage/v1/data.proto).
RESOURCE = {
    "kind": "storage#object",
    "bucket": OBJECT.bucket,
    "name": OBJECT.name,
    "generation": str(OBJECT.generation),
    "size": "352",
    "timeCreated": "2024-01-15T12:00:00Z",
}


def storage_event(kind: str, resource: Any = RESOURCE) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "77",
        "source": f"//storage.googleapis.com/projects/_/buckets/{OBJECT.bucket}",
        "subject": f"objects/{OBJECT.name}",
        "type": f"google.cloud.storage.object.v1.{kind}",
        "time": "2024-01-15T12:00:00Z",
        "data": resource,
    }


def binary_storage_event(kind: str, resource: Any = RESOURCE) -> tuple[dict[str, str], bytes]:
    event = storage_event(kind)
    del event["data"]
    headers = {f"ce-{name}": value for name, value in event.items()} | {"content-type": "application/json"}
    return headers, json.dumps(resource).encode()


def structured_storage_event(kind: str) -> tuple[dict[str, str], bytes]:
    return {"content-type": "application/cloudevents+json"}, json.dumps(storage_event(kind)).encode()


REQUESTS = {
    "notification": (push(json.dumps(RESOURCE).encode(), attributes=notification(OBJECT)), LoadRequest(OBJECT)),
    "notification without data": (push(b"", attributes=notification(OBJECT)), LoadRequest(OBJECT)),
    "range": (push(b"", attributes=range_request(OBJECT, 64 << 20)), LoadRequest(OBJECT, 64 << 20)),
    "binary": (binary_storage_event("finalized"), LoadRequest(OBJECT)),
    "structured": (structured_storage_event("finalized"), LoadRequest(OBJECT)),
    "deletion": (push(b"", attributes={**notification(OBJECT), "eventType": "OBJECT_DELETE"}), None),
    "binary deletion": (binary_storage_event("deleted"), None),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_notification_a_range_and_a_cloud_event_request_a_load(
    framework: Callable[[str], Any], make_load_pipeline: Callable[..., FakeLoadPipeline], name: str
) -> None:
    (headers, body), expected = REQUESTS[name]
    pipeline = make_load_pipeline()

    response = await post(framework("load"), headers, body)

    assert response == (200, "OK")
    assert pipeline.requests == [expected]


INVALID = {
    "no attributes": (push(b"{}"), "expected a notification of Cloud Storage"),
    "no object": (push(b"", attributes={"eventType": "OBJECT_FINALIZE"}), "expected the names of a bucket and"),
    "generation": (
        push(b"", attributes={**notification(OBJECT), "objectGeneration": "-1"}),
        "objectGeneration: found '-1', expected an integer from 1 on",
    ),
    "start": (
        push(b"", attributes={**range_request(OBJECT, 0), "rangeStart": "9" * 30}),
        "rangeStart: found '999999999999999999999999999999', expected an integer from 0 on",
    ),
    "resource": (binary_storage_event("finalized", [1]), "found a CloudEvent without an object"),
    "another event": (cloud_event(b"{}"), "expected a notification of Cloud Storage"),
}


@pytest.mark.parametrize("name", INVALID)
async def test_a_message_that_requests_no_load_is_logged_and_acknowledged(
    framework: Callable[[str], Any],
    make_load_pipeline: Callable[..., FakeLoadPipeline],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    (headers, body), expected = INVALID[name]
    make_load_pipeline()

    response = await post(framework("load"), headers, body)

    assert response.status == 200
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["severity"], line["event"]) == ("ERROR", "message_failed")
    assert expected in line["message"]


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_a_load_that_may_succeed_later_is_not_acknowledged(
    framework: Callable[[str], Any],
    make_load_pipeline: Callable[..., FakeLoadPipeline],
    error: Exception,
    status: int,
) -> None:
    make_load_pipeline(error)

    response = await post(framework("load"), *push(b"", attributes=notification(OBJECT)))

    assert response.status == status
