"""bq itself accepts the commands of docs/export.md and sends the requests that they should make, to a fake BigQuery."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gcloud.fake_bigquery import FakeBigQuery, load_document, unknown_keys
from tests.gcloud.fake_cloud import fake_cloud
from tests.support.samples import ROOT

pytestmark = pytest.mark.slow  # bq takes seconds to start

Bq = Callable[[str], subprocess.CompletedProcess[str]]


def commands() -> list[str]:
    """Return the commands of the page."""
    page = (ROOT / "docs" / "export.md").read_text("utf-8")
    return re.findall(r"^\$ (bq .*)$", page, re.MULTILINE)


@pytest.fixture(scope="module")
def bigquery(sdk: Path) -> Iterator[FakeBigQuery]:
    with fake_cloud(FakeBigQuery) as cloud:
        cloud.document = load_document(sdk)
        yield cloud


@pytest.fixture(scope="module")
def bq(sdk: Path, isolated: dict[str, str], bigquery: FakeBigQuery, tmp_path_factory: pytest.TempPathFactory) -> Bq:
    """Run a command line with bq against the fake, without an account."""
    folder = tmp_path_factory.mktemp("bq")
    (folder / "docs").symlink_to(ROOT / "docs")
    environment = {name: value for name, value in isolated.items() if "PROXY" not in name}
    options = ["--api", bigquery.url, "--oauth_access_token=fake", "--project_id=my-project"]

    def run(line: str) -> subprocess.CompletedProcess[str]:
        text, _, output = line.partition(" > ")
        command = [str(sdk / "bin" / "bq"), *options, *shlex.split(text)[1:]]
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
        if output:
            (folder / output).write_text(done.stdout)
        return done

    return run


@pytest.fixture(scope="module")
def outputs(bq: Bq) -> dict[str, str]:
    """The output of every command of the page, run in its order."""
    return {line: (done := bq(line)).stdout + done.stderr for line in commands()}


def test_bq_runs_every_command_of_the_page(outputs: dict[str, str], bigquery: FakeBigQuery) -> None:
    assert len(outputs) == 9
    assert {line: text for line, text in outputs.items() if re.search(r"error|FATAL|Please file", text)} == {}
    assert len(bigquery.bodies("/jobs")) == 5
    assert len(bigquery.bodies("/tables")) == 2
    assert len(bigquery.bodies("/datasets")) == 1


@pytest.mark.usefixtures("outputs")
def test_load_jobs_read_the_partitions_and_replace_the_table(bigquery: FakeBigQuery) -> None:
    jobs = [body["configuration"]["load"] for body in bigquery.bodies("/jobs") if "load" in body["configuration"]]

    assert [job["destinationTable"]["tableId"] for job in jobs] == ["events", "aggregates", "rejected"]
    for job in jobs:
        folder = f"gs://my-exports/sluice/{job['destinationTable']['tableId']}"
        assert job["sourceUris"] == [f"{folder}/*.parquet"]
        assert job["hivePartitioningOptions"] == {"mode": "CUSTOM", "sourceUriPrefix": f"{folder}/{{day:DATE}}"}
        assert job["timePartitioning"] == {"type": "DAY", "field": "day"}
        assert (job["sourceFormat"], job["writeDisposition"]) == ("PARQUET", "WRITE_TRUNCATE")


@pytest.mark.usefixtures("outputs")
def test_external_tables_read_the_export_or_bigtable(bigquery: FakeBigQuery) -> None:
    exported, stored = (body["externalDataConfiguration"] for body in bigquery.bodies("/tables"))

    assert exported["sourceUris"] == ["gs://my-exports/sluice/events/*.parquet"]
    assert exported["hivePartitioningOptions"] == {
        "mode": "CUSTOM",
        "requirePartitionFilter": True,
        "sourceUriPrefix": "gs://my-exports/sluice/events/{day:DATE}",
    }
    assert stored["sourceFormat"] == "BIGTABLE"
    assert [family["familyId"] for family in stored["bigtableOptions"]["columnFamilies"]] == ["e"]


@pytest.mark.usefixtures("outputs")
def test_every_key_of_the_requests_is_in_the_description_of_the_api(bigquery: FakeBigQuery) -> None:
    for kind, ending in (("Job", "/jobs"), ("Table", "/tables"), ("Dataset", "/datasets")):
        for body in bigquery.bodies(ending):
            assert unknown_keys(bigquery.document, kind, body) == set()

    wrong = {"configuration": {"load": {"sourceUris": [], "hivePartitioningOptions": {"mod": "CUSTOM"}}}}
    assert unknown_keys(bigquery.document, "Job", wrong) == {"mod"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bq load --sorce_format=PARQUET d.t gs://b/x", "Unknown command line flag 'sorce_format'"),
        ("bq load --source_format=PARQUETT d.t gs://b/x", "flag --source_format=PARQUETT: value should be one of"),
        ("bq lod d.t gs://b/x", "Command 'lod' unknown"),
    ],
)
def test_bq_refuses_wrong_commands(bq: Bq, line: str, expected: str) -> None:
    """Shows that the test above can fail."""
    done = bq(line)

    assert expected in done.stdout + done.stderr
