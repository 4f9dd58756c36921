"""`sluice emulators` and the fixtures for other projects, used by Google's clients."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from infra.local.stack import Stack
from shared.config import EMULATOR_VARIABLES
from tests.support.processes import eventually, free_port
from tests.support.samples import ROOT, lines, music_event

SLUICE = Path(sys.executable).with_name("sluice")
TOPIC = "projects/any/topics/orders"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts `sluice emulators`; it ends with the test at the latest."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [SLUICE, "emulators", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, text=True, start_new_session=True, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=10)


def address_of(process: subprocess.Popen[str]) -> str:
    """Return the address that the server prints for all three services."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in EMULATOR_VARIABLES]
    found = dict(re.findall(r"^export (\w+)=(.+)$", "".join(lines), re.MULTILINE))
    assert set(found) == set(EMULATOR_VARIABLES.values())
    [address] = set(found.values())
    return address


def publisher(channel: grpc.Channel) -> PublisherClient:
    return PublisherClient(transport=PublisherGrpcTransport(channel=channel))


def test_a_folder_keeps_what_was_acknowledged_before_a_kill(start: Start, tmp_path: Path) -> None:
    first = start("--port", "0", "--data", str(tmp_path / "data"))
    with grpc.insecure_channel(address_of(first)) as channel:
        publisher(channel).create_topic(name=TOPIC)
    first.send_signal(signal.SIGKILL)
    first.wait(10)

    second = start("--port", "0", "--data", str(tmp_path / "data"))
    with grpc.insecure_channel(address_of(second)) as channel:
        assert publisher(channel).get_topic(topic=TOPIC).name == TOPIC


def test_one_process_at_a_time_uses_a_folder(start: Start, tmp_path: Path) -> None:
    address_of(start("--port", "0", "--data", str(tmp_path)))

    second = start("--port", "0", "--data", str(tmp_path))

    assert second.wait(30) == 1
    assert f"sluice: {tmp_path}: found it in use by another process" in second.communicate()[1]


def test_a_file_that_is_no_database_is_an_error(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "pubsub.sqlite"
    path.write_bytes(b"no database" * 100)

    process = start("--port", "0", "--data", str(tmp_path))

    assert process.wait(30) == 1
    expected = f"sluice: {path}: found file is not a database, expected a database of the emulators, or no file\n"
    assert process.communicate()[1] == expected
    assert path.read_bytes() == b"no database" * 100


def test_a_taken_port_is_an_error(start: Start) -> None:
    port = free_port()
    address_of(start("--port", str(port)))

    second = start("--port", str(port))

    assert second.wait(30) == 1
    assert f"sluice: port {port}: " in second.communicate()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server(start: Start, number: signal.Signals) -> None:
    process = start("--port", "0")
    address_of(process)

    process.send_signal(number)

    assert process.wait(10) == 0
    assert process.communicate()[1] == ""


def test_the_fixtures_serve_googles_clients_in_another_project(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "snippets" / "test_with_emulators.py", tmp_path)
    environment = {name: value for name, value in os.environ.items() if name not in EMULATOR_VARIABLES.values()}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr


@contextmanager
def failing_endpoint() -> Iterator[tuple[str, SimpleQueue[str]]]:
    """Serve HTTP with status 500 inside a `with` block; yields the URL, and the queue of the requests' paths."""
    requests: SimpleQueue[str] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.put(self.path)
            self.send_error(500)

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", requests
        server.shutdown()


def test_a_restarted_stack_delivers_kept_messages_to_its_new_functions_alone(tmp_path: Path) -> None:
    with failing_endpoint() as (old_endpoint, requests):
        with (
            Stack(functions=False, data=tmp_path) as stack,
            grpc.insecure_channel(str(stack.settings.pubsub_emulator)) as channel,
        ):
            prefix = f"projects/{stack.settings.project_id}"
            subscription = f"{prefix}/subscriptions/events-ingest"
            subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
            subscriber.modify_push_config(subscription=subscription, push_config={"push_endpoint": old_endpoint})
            messages = [{"data": lines([music_event()])}]
            publisher(channel).publish(topic=f"{prefix}/topics/events", messages=messages)
            assert requests.get(timeout=30) == "/"
        while not requests.empty():
            requests.get()

        with Stack(data=tmp_path) as stack:
            assert eventually(lambda: stack.deliveries("events-ingest").get("acknowledged") == 1)
        assert requests.empty()
