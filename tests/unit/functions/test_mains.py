"""The two functions as the framework loads them, called over HTTP with the CloudEvents that Eventarc sends."""

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

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import ContractError, OverloadedError, RequestError, StoreRefusedError, StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline, validate_message
from shared.pubsub.message import Message
from shared.runtime import instance, logs, responses
from shared.validation.results import Accepted, Rejected, Verdict
from tests.support.samples import MUSIC_CONTRACT, ROOT, cloud_event, lines, music_event

MAINS = {name: ROOT / "functions" / name / "main.py" for name in ("ingest", "aggregate")}
PAYLOAD = ROOT / "tests" / "data" / "pubsub_message.json"

ERRORS = [
    (OverloadedError("32 MB are waiting"), 429),
    (StoreUnavailableError("not acknowledged within 60 s"), 503),
    (StoreRefusedError("no such table"), 500),
    (ContractError("music.toml: wrong"), 500),
]


class Answer(NamedTuple):
    status: int
    body: str


async def post(app: Any, headers: dict[str, str], body: bytes) -> Answer:
    """Send one HTTP request through the ASGI interface, as a server would."""
    sent: list[dict[str, Any]] = []
    parts = iter([{"type": "http.request", "body": body, "more_body": False}])
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
        return next(parts, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    return Answer(sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]).decode())


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Load a function as `functions-framework --target NAME --source functions/NAME/main.py` does."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "main", None)  # the framework puts the function there
    return lambda name: create_asgi_app(name, str(MAINS[name]), "cloudevent")


class FakeIngestPipeline(IngestPipeline):
    """Judges for real, stores nothing, and fails as a test says."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(Bigtable(Settings("project", "instance")), load_contract(MUSIC_CONTRACT))
        self.kept: list[tuple[list[Verdict], datetime, str]] = []
        self._error = error

    async def _process_small(self, message: Message) -> dict[str, int]:
        return await self._store(validate_message(self._validator, message), message.published, message.message_id)

    async def _store(self, verdicts: Any, published: datetime, source: str) -> dict[str, int]:
        await asyncio.sleep(0)
        if self._error:
            raise self._error
        self.kept.append((verdicts, published, source))
        return {}


class FakeAggregatePipeline:
    """Knows which days a message asks for, and notes those that are computed or requested, unless it fails."""

    def __init__(self, days: list[date], error: Exception | None = None) -> None:
        self.asked: list[Message] = []
        self.computed: list[date] = []
        self.requested: list[date] = []
        self._days = days
        self._error = error

    async def days(self, message: Message) -> list[date]:
        self.asked.append(message)
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
def ingestion(monkeypatch: pytest.MonkeyPatch) -> FakeIngestPipeline:
    fake = FakeIngestPipeline()
    monkeypatch.setattr(instance, "ingest_pipeline", lambda: fake)
    return fake


@pytest.fixture
def aggregation(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeAggregatePipeline]:
    def make(days: list[date], error: Exception | None = None) -> FakeAggregatePipeline:
        fake = FakeAggregatePipeline(days, error)
        monkeypatch.setattr(instance, "aggregate_pipeline", lambda: fake)
        monkeypatch.setattr(instance, "request_days", fake.request_days)
        monkeypatch.setattr(responses, "_RATE_LIMITED", logs.RateLimitedLog())
        return fake

    return make


@pytest.mark.parametrize("main", MAINS.values(), ids=MAINS)
def test_a_main_is_short_enough_to_be_read_as_the_picture(main: Path) -> None:
    assert len(main.read_text("utf-8").splitlines()) <= 40
    # the framework puts its folder on sys.path: a module beside it could hide another
    assert {path.name for path in main.parent.glob("*.py")} <= {"__init__.py", "main.py"}


@pytest.mark.parametrize("name", MAINS)
def test_a_function_starts_without_what_it_seldom_needs(name: str) -> None:
    code = f"import functions.{name}.main, sys; print('google.pubsub_v1' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert told.stdout == "False\n"


# ingest


async def test_a_message_is_judged_and_kept(framework: Callable[[str], Any], ingestion: FakeIngestPipeline) -> None:
    headers, body = cloud_event(
        lines([music_event(1), music_event(2, userId="")]), message_id="77", published="2024-01-15T12:00:00Z"
    )

    answer = await post(framework("ingest"), headers, body)

    assert answer == (200, "OK")
    ((verdicts, published, source),) = ingestion.kept
    assert [type(verdict) for verdict in verdicts] == [Accepted, Rejected]
    assert (published, source) == (datetime(2024, 1, 15, 12, 0, tzinfo=UTC), "77")


async def test_what_eventarc_sends(framework: Callable[[str], Any], ingestion: FakeIngestPipeline) -> None:
    headers, _ = cloud_event(b"", message_id="ce")

    answer = await post(framework("ingest"), headers, PAYLOAD.read_bytes())

    assert answer.status == 200
    ((verdicts, published, source),) = ingestion.kept
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
async def test_what_cannot_be_an_event_is_quarantined_and_acknowledged(
    framework: Callable[[str], Any], ingestion: FakeIngestPipeline, body: bytes, rule: str
) -> None:
    headers, _ = cloud_event(b"", message_id="ce", published="2024-01-15T12:00:00Z")

    answer = await post(framework("ingest"), headers, body)

    assert answer.status == 200
    (((verdict,), published, source),) = ingestion.kept
    assert [finding.rule for finding in verdict.findings] == [rule]
    assert (published, source) == (datetime(2024, 1, 15, 12, 0, tzinfo=UTC), "ce")


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_what_is_not_stored_is_not_acknowledged(
    framework: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
) -> None:
    fake = FakeIngestPipeline(error)
    monkeypatch.setattr(instance, "ingest_pipeline", lambda: fake)

    answer = await post(framework("ingest"), *cloud_event(lines([music_event()]), message_id="77"))

    assert answer.status == status
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["message"] == str(error)
    assert json.loads(line)["message_id"] == "77"


async def test_an_instance_that_cannot_be_made_is_told_in_a_line(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GCP_PROJECT_ID", raising=False)
    instance.ingest_pipeline.cache_clear()

    answer = await post(framework("ingest"), *cloud_event(lines([music_event()])))

    assert answer.status == 500
    (line,) = capsys.readouterr().out.splitlines()
    assert "GCP_PROJECT_ID" in json.loads(line)["message"]


async def test_messages_are_taken_in_side_by_side(
    framework: Callable[[str], Any], ingestion: FakeIngestPipeline
) -> None:
    app = framework("ingest")

    answers = await asyncio.gather(
        *(post(app, *cloud_event(lines([music_event(number)]), message_id=f"{number}")) for number in range(20))
    )

    assert {answer.status for answer in answers} == {200}
    assert {source for _, _, source in ingestion.kept} == {f"{number}" for number in range(20)}


# aggregate


async def test_a_day_that_is_asked_for_alone_is_computed_at_once(
    framework: Callable[[str], Any], aggregation: Callable[..., FakeAggregatePipeline]
) -> None:
    fake = aggregation([date(2024, 1, 15)])

    answer = await post(framework("aggregate"), *cloud_event(b'{"date": "2024-01-15"}', message_id="77"))

    assert answer == (200, "OK")
    assert (fake.computed, fake.requested) == ([date(2024, 1, 15)], [])
    assert (fake.asked[0].data, fake.asked[0].message_id) == (b'{"date": "2024-01-15"}', "77")


async def test_several_days_are_asked_for_again_and_none_is_computed(
    framework: Callable[[str], Any], aggregation: Callable[..., FakeAggregatePipeline]
) -> None:
    fake = aggregation([date(2024, 1, 15), date(2024, 1, 16)])

    answer = await post(framework("aggregate"), *cloud_event(b"{}"))

    assert answer == (200, "OK")
    assert (fake.computed, fake.requested) == ([], [date(2024, 1, 15), date(2024, 1, 16)])


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_a_day_that_fails_fails_its_request_and_is_named(
    framework: Callable[[str], Any],
    aggregation: Callable[..., FakeAggregatePipeline],
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
) -> None:
    aggregation([date(2024, 1, 15)], error)

    answer = await post(framework("aggregate"), *cloud_event(b"{}", message_id="77"))

    assert answer.status == status
    line = json.loads(capsys.readouterr().out)
    assert (line["message"], line["message_id"], line["day"]) == (str(error), "77", "2024-01-15")


@pytest.mark.parametrize(("error", "status"), ERRORS)
async def test_days_that_cant_be_asked_for_fail_the_request(
    framework: Callable[[str], Any], aggregation: Callable[..., FakeAggregatePipeline], error: Exception, status: int
) -> None:
    aggregation([date(2024, 1, 15), date(2024, 1, 16)], error)

    answer = await post(framework("aggregate"), *cloud_event(b"{}"))

    assert answer.status == status


async def test_a_request_for_nothing_that_could_be_done_is_logged_and_acknowledged(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def aggregation() -> FakeAggregatePipeline:
        raise RequestError("message 77: found what isn't JSON")

    monkeypatch.setattr(instance, "aggregate_pipeline", aggregation)

    answer = await post(framework("aggregate"), *cloud_event(b"nonsense", message_id="77"))

    assert answer.status == 200
    assert json.loads(capsys.readouterr().out)["severity"] == "ERROR"


# Not a CloudEvent


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/json"}, b'{"message": {"data": "e30="}}'),  # as the emulator pushes
        ({"content-type": "application/json", "ce-id": "1", "ce-specversion": "1.0"}, b"{}"),
        ({"content-type": "text/plain"}, b"hello"),
        ({}, b""),
    ],
)
@pytest.mark.parametrize("name", MAINS)
async def test_what_is_no_cloud_event_is_refused_before_our_code(
    framework: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, name: str, headers: dict[str, str], body: bytes
) -> None:
    monkeypatch.setattr(instance, "ingest_pipeline", None)
    monkeypatch.setattr(instance, "aggregate_pipeline", None)

    answer = await post(framework(name), headers, body)

    assert answer.status == 400
    assert "CloudEvent" in answer.body
