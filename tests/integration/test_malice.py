"""The function acknowledges every hostile envelope, and stores or rejects its events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import validate_message
from shared.pubsub.message import receive
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.faults.pipeline import Pipeline
from tests.support.hostile import CASES, MEMORY_HEAVY, OTHER, PUBLISHED, SECRET, body_of
from tests.support.samples import MUSIC_CONTRACT, cells, cloud_event, dump

# In the process of the tests of Beam, so that it never runs beside their worker processes.
pytestmark = pytest.mark.xdist_group("beam")


@pytest.fixture
def pipeline(empty_instance: Settings) -> Iterator[Pipeline]:
    address = str(empty_instance.bigtable_emulator)
    with Pipeline(empty_instance, address) as pipeline:
        yield pipeline


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)  # the server closes connections that idle while a case is made
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, body: Any, **headers: str) -> int:
    all_headers, _ = cloud_event(b"", published=PUBLISHED)
    async with http.post(url, headers={**all_headers, **headers}, data=BytesIO(json.dumps(body).encode())) as response:
        await response.read()
        return response.status


@pytest.mark.slow
async def test_every_hostile_envelope_is_stored_or_rejected(pipeline: Pipeline, http: aiohttp.ClientSession) -> None:
    validator = Validator(load_contract(MUSIC_CONTRACT))
    url, settings = pipeline.url("ingest"), pipeline.settings
    events, bad = set(), set()
    # The unit tests of the validator cover the cases on a line or in an array beside valid events.
    for case in [case for case in CASES + MEMORY_HEAVY if not case.name.endswith(("line", "array", "content type"))]:
        body = case.body()
        with pipeline.sampling():
            status = await post(http, url, body)
        assert status == 200, f"{case.name}: {pipeline.log('ingest')[-2_000:]}"
        for verdict in validate_message(validator, receive(body, {"id": "1", "time": PUBLISHED})):
            if isinstance(verdict, Accepted):
                events.add((verdict.cell_key.row_key, verdict.cell_key.qualifier))
            else:
                bad.add(verdict.raw)
    assert await post(http, url, body_of(OTHER), **{"ce-type": "google.cloud.storage.object.v1.finalized"}) == 200

    assert {(row, qualifier) for row, qualifier, _, _ in cells(dump(settings, "events"), "e")} == events
    assert {row["r", b"raw"][0][1] for row in dump(settings, "rejected").values()} == bad
    assert pipeline.peak < 256
    logged = pipeline.log("ingest")
    assert SECRET not in logged
    assert {json.loads(line)["event"] for line in logged.splitlines()} == {"ingest_summary"}


async def test_an_invalid_request_is_a_400_and_valid_ones_are_processed(
    pipeline: Pipeline, http: aiohttp.ClientSession
) -> None:
    url = pipeline.url("ingest")
    headers, good = cloud_event(OTHER)
    for wrong, data in [
        ({}, b"hello"),
        ({"content-type": "application/json"}, b"{}"),
        ({"content-type": "application/json"}, b"[" * 100_000),
        ({"content-type": "application/json"}, b'{"message": []}'),
        ({"content-type": "application/json"}, b'["message"]'),
        ({"content-type": "application/json"}, SECRET.encode()),
        ({"content-type": "application/cloudevents+json"}, b"{"),
        ({"content-type": "application/cloudevents+json"}, b"[" * 100_000),
        ({name: value for name, value in headers.items() if name != "ce-id"}, good),
    ]:
        async with http.post(url, headers=wrong, data=data) as response:
            assert response.status == 400, (wrong, data[:20], await response.text())
        async with http.post(url, headers=headers, data=good) as response:
            assert response.status == 200

    assert len(list(cells(dump(pipeline.settings, "events"), "e"))) == 1
    assert dump(pipeline.settings, "rejected") == {}
    assert SECRET not in pipeline.log("ingest")
