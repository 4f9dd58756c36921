"""Each bundle runs on each supported Python, in a clean environment with only its own requirements."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from infra.deploy import runtimes
from infra.deploy.bundle import make_bundles
from infra.local.supervisor import Supervisor
from infra.provision.pubsub import provision_pubsub
from shared.config import Settings
from shared.pubsub.load_requests import notification
from tests.support import interpreters
from tests.support.processes import free_port
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, music_event, parquet, push
from tests.support.storage import Bucket, running_storage

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {bundle.name: bundle for bundle in make_bundles(folder, contract=MUSIC_CONTRACT)}


VERSIONS = [
    pytest.param(version, marks=() if version == runtimes.DEPLOYED else pytest.mark.slow)
    for version in runtimes.SUPPORTED
]


@pytest.fixture(scope="session", params=VERSIONS)
def environments(
    request: pytest.FixtureRequest, bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Install the requirements of each bundle into a new virtual environment."""
    python = interpreters.find(request.param)
    if python is None:
        missing = f"Python {request.param} isn't installed, expected every supported version"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)  # a developer's machine may lack a version; CI must not
    uv = Path(sys.executable).with_name("uv")
    binaries = {}
    for function, bundle in bundles.items():
        folder = tmp_path_factory.mktemp(f"{function}-python{request.param}") / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        command = [uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", "--require-hashes"]
        subprocess.run([*command, "-r", bundle / "requirements.txt"], check=True)
        version = subprocess.run([folder / "bin" / "python", "--version"], check=True, capture_output=True, text=True)
        assert version.stdout.startswith(f"Python {request.param}.")
        binaries[function] = folder / "bin"
    return binaries


def clean(settings: Settings) -> dict[str, str]:
    """Return environment variables that don't refer to the repository."""
    return {
        "PATH": os.environ["PATH"],
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": str(settings.bigtable_emulator),
        "PUBSUB_EMULATOR_HOST": str(settings.pubsub_emulator),
        "PYTHONDONTWRITEBYTECODE": "1",
        **({"STORAGE_EMULATOR_HOST": settings.storage_emulator} if settings.storage_emulator else {}),
    }


@contextmanager
def running(function: str, bundle: Path, environment: Path, settings: Settings) -> Iterator[str]:
    port = free_port()
    command = [environment / "functions-framework", "--target", function, "--port", str(port)]
    with Supervisor() as supervisor:
        supervisor.start(function, command, env=clean(settings), cwd=bundle)
        yield f"http://127.0.0.1:{port}/"


def post(url: str, data: bytes, attributes: dict[str, str] | None = None) -> int:
    headers, body = push(data, attributes=attributes)
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except urllib.error.URLError:
            assert time.monotonic() < deadline, f"{url} doesn't answer"
            time.sleep(0.05)


def get(url: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                return json.load(response)
        except urllib.error.URLError:
            assert time.monotonic() < deadline, f"{url} doesn't answer"
            time.sleep(0.05)


def test_all_bundles_work_outside_the_repository(
    bundles: dict[str, Path], environments: dict[str, Path], settings: Settings
) -> None:
    with running("ingest", bundles["ingest"], environments["ingest"], settings) as url:
        assert post(url, lines([music_event(1), music_event(2, userId="")])) == 200
    [(row_key, qualifier, _, value)] = cells(dump(settings, "events"), "e")
    assert row_key.endswith(b"#20240115#user-1")
    assert qualifier == b"86398999999#evt-000001"
    assert json.loads(value)["song_id"] == "song-1"
    assert len(dump(settings, "rejected")) == 1

    provision_pubsub(settings)
    with running("aggregate", bundles["aggregate"], environments["aggregate"], settings) as url:
        assert post(url, b'{"date": "2024-01-15"}') == 200
        assert post(url, b'{"from": "2024-01-15", "to": "2024-01-16"}') == 200
    [columns] = dump(settings, "aggregates", b"all#20240115#all").values()
    assert columns["a", b"total_events"][0][1] == b"1"
    assert (
        dump(settings, "aggregates", b"all#20240116#all") == {}
    )  # requested by its own message, which isn't delivered here

    with running_storage() as storage:
        bucket = Bucket(storage)
        events = [music_event(3, timestamp="2024-01-17T00:00:00Z")]
        object = bucket.upload("events.parquet", parquet(events))
        settings = replace(settings, storage_emulator=storage)
        with running("load", bundles["load"], environments["load"], settings) as url:
            assert post(url, b"", notification(object)) == 200
        bucket.close()
    assert [row for row, *_ in cells(dump(settings, "events"), "e") if b"#20240117#" in row]

    with running("query", bundles["query"], environments["query"], settings) as url:
        days = get(f"{url}v1/days?from=2024-01-15&to=2024-01-16")["days"]
        document = get(f"{url}openapi.json")
    assert [day["run"] and day["run"]["events"] for day in days] == [1, None]
    assert document["openapi"] == "3.1.0"


@pytest.mark.parametrize("function", ["ingest", "aggregate", "query", "load"])
def test_the_copy_of_shared_in_the_bundle_is_imported(
    bundles: dict[str, Path], environments: dict[str, Path], settings: Settings, function: str
) -> None:
    script = "import main, shared, shared.row_keys, sys; print(shared.row_keys.__file__); print(*sys.path, sep='\\n')"
    result = subprocess.run(
        [environments[function] / "python", "-c", script],
        cwd=bundles[function],
        env=clean(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    origin, *path = result.stdout.splitlines()
    assert Path(origin) == bundles[function] / "shared" / "row_keys.py"
    repository = str(Path(__file__).parents[2])
    assert not [entry for entry in path if entry.startswith(repository)]


def test_a_bundle_with_the_otlp_exporter_exports_metrics(tmp_path: Path) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    bundle = make_bundles(tmp_path / "build", contract=MUSIC_CONTRACT, otlp=True)[0]
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes"]
    subprocess.run([*command, "-r", bundle / "requirements.txt"], check=True)
    code = (
        "from collections import Counter; from shared.runtime.metrics import recorder; record = recorder('otlp');"
        "record(Counter(stored=3)); record.close(); import os; os._exit(0)"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        environment = {"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        subprocess.run([python, "-c", code], cwd=bundle, env=environment, check=True)
        server.shutdown()

    [(path, body)] = received
    assert path == "/v1/metrics"
    assert b"sluice.stored" in body


def test_the_running_and_the_deployed_python_are_supported() -> None:
    """Versions that aren't installed are skipped; the running one is always tested."""
    assert interpreters.find(interpreters.RUNNING) == Path(sys.executable)
    assert interpreters.RUNNING in runtimes.SUPPORTED
    assert runtimes.DEPLOYED in runtimes.SUPPORTED
