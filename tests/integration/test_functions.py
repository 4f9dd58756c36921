"""The functions under `functions-framework`, called as Pub/Sub pushes messages."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.pubsub_v1.types import PubsubMessage

from infra.provision.bigtable import provision_bigtable
from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.config import Settings
from shared.pubsub.publisher import Publisher
from tests.integration.conftest import requests
from tests.support.processes import free_port
from tests.support.samples import MUSIC_CONTRACT, ROOT, cells, dump, lines, music_event, push

FRAMEWORK = Path(sys.executable).parent / "functions-framework"


@contextmanager
def running(function: str, settings: Settings, log: Path, **extra: str) -> Iterator[str]:
    """Run a function as docs/functions.md does; yield its address."""
    with running_process(function, settings, log, **extra) as (url, _):
        yield url


@contextmanager
def running_process(
    function: str, settings: Settings, log: Path, **extra: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a function; yield its address and its process."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": str(settings.bigtable_emulator),
        "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator),
        **extra,
    }
    command = [str(FRAMEWORK), "--target", function, "--source", f"functions/{function}/main.py", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, data: bytes, **kwargs: Any) -> tuple[int, str]:
    headers, body = push(data, **kwargs)
    for _ in range(600):
        try:
            async with http.post(url, headers=headers, data=body) as response:
                return response.status, await response.text()
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.05)  # the function is starting
    raise AssertionError(f"{url} doesn't answer")


async def answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url):
            return True
    except aiohttp.ClientError:
        return False


async def test_concurrent_messages_are_stored_together(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running("ingest", settings, log) as url:
        posts = (post(http, url, lines([music_event(number)]), message_id=str(number)) for number in range(200))
        answers = await asyncio.gather(*posts)
        bad = await post(http, url, b'{"event_id": 1}', message_id="bad")

    assert {status for status, _ in answers} == {200}
    assert bad[0] == 200
    assert len(list(cells(dump(settings, "events"), "e"))) == 200
    assert len(dump(settings, "rejected")) == 1
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert logged
    assert all(entry["event"] == "ingest_summary" for entry in logged), logged


def children_of(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()


async def test_a_frozen_instance_keeps_its_worker(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """With the variables that Cloud Run sets, and as long without CPU as several of its timeouts."""
    cloud_run = {
        "CLOUD_RUN_TIMEOUT_SECONDS": "1",
        "FUNCTION_SIGNATURE_TYPE": "cloudevent",
        "LOG_EXECUTION_ID": "true",
        "K_SERVICE": "ingest",
    }
    with running_process("ingest", settings, tmp_path / "log", **cloud_run) as (url, process):
        assert (await post(http, url, lines([music_event(1)])))[0] == 200
        workers = children_of(process)
        os.killpg(process.pid, signal.SIGSTOP)
        await asyncio.sleep(3)  # without CPU
        os.killpg(process.pid, signal.SIGCONT)
        await asyncio.sleep(1.5)  # gunicorn looks for dead workers every second

        async with asyncio.timeout(3):
            assert (await post(http, url, lines([music_event(2)])))[0] == 200

        assert children_of(process) == workers
    assert len(list(cells(dump(settings, "events"), "e"))) == 2


async def test_a_missing_table_is_a_500_and_one_log_line(
    empty_instance: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running("ingest", empty_instance, log) as url:
        status, text = await post(http, url, lines([music_event()]), message_id="m1")

    assert (status, text) == (500, "refused")
    [entry] = [json.loads(line) for line in log.read_text().splitlines()]
    assert (entry["severity"], entry["message_id"]) == ("ERROR", "m1")
    assert "table" in entry["message"] or "state" in entry["message"]


async def test_an_unreachable_bigtable_is_a_503_after_the_deadline(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    unreachable = {"BIGTABLE_EMULATOR_HOST": f"127.0.0.1:{free_port()}", "SLUICE_STORE_DEADLINE": "1"}
    with running("ingest", settings, tmp_path / "log", **unreachable) as url:
        status, text = await post(http, url, lines([music_event()]))

    assert (status, text) == (503, "not stored yet")


@pytest.mark.slow
async def test_a_shutdown_answers_unfinished_messages_with_503(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    unreachable = {"BIGTABLE_EMULATOR_HOST": f"127.0.0.1:{free_port()}"}
    with running_process("ingest", settings, log, **unreachable) as (url, process):
        first = asyncio.create_task(post(http, url, lines([music_event()])))
        while not await answers(http, url):  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.05)
        more = [asyncio.create_task(post(http, url, lines([music_event(number)]))) for number in range(5)]
        done, _ = await asyncio.wait([first, *more], timeout=1)
        assert not done  # they wait for an unreachable Bigtable
        began = time.monotonic()
        process.terminate()
        responses = await asyncio.gather(first, *more)
        await asyncio.to_thread(process.wait, 10)
        took = time.monotonic() - began

    assert set(responses) == {(503, "not stored yet")}
    assert took < 10  # the grace period of Cloud Run, far below the deadline of a write
    assert "the instance shuts down before the message is stored" in log.read_text()


async def test_a_shutdown_exports_the_metrics(settings: Settings, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running_process("ingest", settings, log, OTEL_METRICS_EXPORTER="console") as (url, process):
        assert (await post(http, url, lines([music_event(1)])))[0] == 200
        assert (await post(http, url, lines([music_event(2), music_event(3)])))[0] == 200
        assert "resource_metrics" not in log.read_text()
        process.terminate()
        await asyncio.to_thread(process.wait, 10)

    output = "".join(log.read_text().split())
    assert '"name":"sluice.stored"' in output
    assert '"value":3' in output


async def test_an_invalid_contract_is_a_500_that_names_the_key(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    contract = tmp_path / "wrong.toml"
    contract.write_text(MUSIC_CONTRACT.read_text().replace('type = "string"', 'type = "text"', 1))
    log = tmp_path / "log"
    with running("ingest", settings, log, SLUICE_CONTRACT=str(contract)) as url:
        status, _ = await post(http, url, lines([music_event()]))

    assert status == 500
    assert (
        "fields.event_id.type: found 'text', expected 'string' or"
        in json.loads(log.read_text().splitlines()[0])["message"]
    )


async def test_a_push_of_googles_emulator_is_stored(
    empty_instance: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Without the relay: the emulator itself pushes to the address that provisioning declares."""
    settings = empty_instance
    provision_bigtable(settings)
    published = [lines([music_event(number)]) for number in range(20)]
    with running("ingest", settings, tmp_path / "log") as url:
        assert (await post(http, url, lines([music_event(20)])))[0] == 200  # a push to no server is delayed
        provision_pubsub(settings, RESOURCES.with_push({"ingest": url}, "sluice-push@p.iam.gserviceaccount.com"))
        async with Publisher(settings) as publisher:
            await publisher.publish("events", [PubsubMessage(data=data) for data in published])
        async with asyncio.timeout(60):
            while len(list(cells(dump(settings, "events"), "e"))) < len(published) + 1:  # noqa: ASYNC110 - in a process
                await asyncio.sleep(0.05)


async def test_a_post_without_a_message_is_a_400(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with running("ingest", settings, tmp_path / "log") as url:
        await post(http, url, b"{}")
        async with http.post(url, data=b"hello") as response:
            assert response.status == 400


async def test_lines_of_aggregate_have_the_trace_of_their_request(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running("aggregate", settings, log) as url:
        assert (await post(http, url, b'{"date": "2024-01-14"}'))[0] == 200
        for day, trace in (("15", "a" * 32), ("16", "b" * 32)):
            headers, body = push(b'{"date": "2024-01-%s"}' % day.encode())
            headers |= {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
            async with http.post(url, headers=headers, data=body) as response:
                assert response.status == 200

    entries = [json.loads(line) for line in log.read_text().splitlines()]
    traces = {entry["day"]: entry.get("logging.googleapis.com/trace", "").split("/")[-1] for entry in entries}
    assert traces == {"2024-01-14": "", "2024-01-15": "a" * 32, "2024-01-16": "b" * 32}


async def test_aggregate_computes_the_requested_day(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    events = [music_event(1), music_event(2, timestamp="2024-01-16T00:00:00Z")]
    with running("ingest", settings, tmp_path / "log1") as url:
        assert (await post(http, url, lines(events)))[0] == 200
    log = tmp_path / "log2"
    with running("aggregate", settings, log) as url:
        assert (await post(http, url, b'{"date": "2024-01-15"}'))[0] == 200
        assert (await post(http, url, b'{"from": "2024-01-17", "to": "2024-01-17"}'))[0] == 200
        assert (await post(http, url, b'{"date": "2024-01-32"}', message_id="wrong"))[0] == 200

    aggregates = dump(settings, "aggregates", b"all#")
    assert {key: columns["a", b"total_events"][0][1] for key, columns in aggregates.items()} == {
        b"all#20240115#all": b"1",
        b"all#20240117#all": b"0",
    }
    wrong = [entry for entry in map(json.loads, log.read_text().splitlines()) if entry["severity"] == "ERROR"]
    assert [entry["message"] for entry in wrong] == [
        "message wrong: date: found '2024-01-32', expected a date such as 2024-01-15"
    ]


async def test_aggregate_publishes_a_request_for_each_of_several_days(
    settings: Settings, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with running("aggregate", settings, tmp_path / "log") as url:
        request = b'{"from": "2024-01-15", "to": "2024-01-17"}'
        assert (await post(http, url, request))[0] == 500  # the topic is missing
        provision_pubsub(settings)
        assert (await post(http, url, request))[0] == 200

    assert dump(settings, "state", b"run#") == {}
    assert requests(settings, 3) == [b'{"date": "2024-01-%d"}' % day for day in (15, 16, 17)]
    failure, summary = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert "topics/aggregate-requests: found none, expected it to exist" in failure["message"]
    assert summary["days"] == ["2024-01-15", "2024-01-16", "2024-01-17"]
