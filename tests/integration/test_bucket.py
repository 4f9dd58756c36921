"""A local stack with a bucket loads what is uploaded, and `sluice loads` shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from msgspec import structs

from infra.local.stack import Stack
from infra.local.storage import emulator
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.errors import MissingProgramError
from shared.pubsub.load_requests import ObjectVersion
from shared.tables.loads import Load, LoadsTable, Progress
from shared.timestamps import EPOCH, now
from tests.support.processes import eventually
from tests.support.samples import ROOT, cells, dump, lines, music_event

SLUICE = str(Path(sys.executable).with_name("sluice"))


def sluice(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [SLUICE, *arguments]
    variables = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)


def loads(environment: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(sluice(environment, "loads", "--json", *arguments).stdout)
    return found


@pytest.mark.slow
def test_an_uploaded_file_is_loaded_and_shown() -> None:
    with Stack(functions=(), bucket="drop") as stack:
        assert "Cloud Storage, bucket drop" in stack.describe()
        options = {"api_endpoint": stack.environment["STORAGE_EMULATOR_HOST"]}
        with closing(Client("project", AnonymousCredentials(), client_options=options)) as client:
            bucket = client.bucket("drop")
            bucket.blob("day 1/events.jsonl").upload_from_string(lines(map(music_event, range(1, 51))))
            bucket.blob("header.csv").upload_from_string(b"1,2,3\n")

        def settled() -> bool:
            return sorted(each["status"] for each in loads(stack.environment)) == ["failed", "finished"]

        assert eventually(settled, 60), stack.describe()
        [finished] = [each for each in loads(stack.environment) if each["status"] == "finished"]
        assert (finished["object"], finished["stored"]) == ("gs://drop/day 1/events.jsonl", 50)
        [failed] = loads(stack.environment, "--unfinished")
        assert (failed["object"], failed["status"]) == ("gs://drop/header.csv", "failed")
        assert len(list(cells(dump(stack.settings, "events"), "e"))) == 50
        provisioned = sluice(stack.environment, "provision", "--dry-run", "--json").stdout
        assert json.loads(provisioned) == []


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": str(settings.bigtable_emulator),
    }


async def test_loads_shows_progress_and_problems(environment: dict[str, str], bigtable: Bigtable) -> None:
    table = LoadsTable(bigtable)
    load = Load(ObjectVersion("drop", "a\x1b[2J.csv", 7), 300, EPOCH, EPOCH, [0, 100, 200], "rows", 10)
    assert sluice(environment, "loads").stderr == "no loads\n"
    await table.begin(load)
    await table.checkpoint(load, 100, Progress(5, 4, 1))
    await table.finish(load, 100, Progress(9, 6, 2, 1, ["gs://drop/a.csv, line 8 from byte 100: found a quote"]))
    await table.checkpoint(load, 200, Progress(3, 2, 1))

    shown = sluice(environment, "loads").stdout

    assert shown.splitlines() == [
        r"1970-01-01 00:00:00  loading   gs://drop/a\x1b[2J.csv  8 stored, 3 rejected, 1 unreadable, 1 of 3 ranges",
        "  gs://drop/a.csv, line 8 from byte 100: found a quote",
    ]
    await table.begin(structs.replace(load, object=structs.replace(load.object, generation=8)))
    assert len(loads(environment)) == 2
    assert len(loads(environment, "--limit", "1")) == 1


async def test_loads_says_how_to_repeat_failed_and_stopped_loads(
    environment: dict[str, str], bigtable: Bigtable
) -> None:
    table = LoadsTable(bigtable)
    load = Load(ObjectVersion("drop", "a.csv", 7), 300, EPOCH, EPOCH, [0])
    await table.begin(load)
    await table.finish(load, 0, Progress(5, 5))
    assert sluice(environment, "loads").stderr == ""

    await table.fail(
        structs.replace(load, object=ObjectVersion("drop", "b.csv", 7)), "gs://drop/b.csv: found no header"
    )
    failed = sluice(environment, "loads")
    await table.begin(structs.replace(load, object=ObjectVersion("drop", "c.csv", 7), started=now()))
    stopped = sluice(environment, "loads", "--limit", "1")

    assert "  gs://drop/b.csv: found no header" in failed.stdout.splitlines()
    assert failed.stderr == (
        "no request repeats a failed load: upload the object again, or copy it to another name, as with "
        "`gcloud storage cp gs://BUCKET/NAME gs://BUCKET/NEW_NAME`\n"
    )
    assert stopped.stderr == (
        "if a load makes no progress, `sluice replay loads --dry-run` shows whether its requests are dead letters\n"
    )


def test_a_missing_emulator_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_spec("gcp_storage_emulator")
    monkeypatch.setattr(emulator, "find_spec", lambda name: None)

    with pytest.raises(MissingProgramError, match="pip install gcp-storage-emulator google-cloud-storage"):
        Stack(functions=(), bucket="drop").__enter__()
