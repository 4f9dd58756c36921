"""The file that says how functions are deployed: one's own over the shipped one, and refused where it is wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from infra import pythons
from infra.deployment import SHIPPED, load
from shared.config import Settings
from shared.errors import SettingsError


def test_of_ones_own_file_only_what_differs_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[ingest]\nmin_instances = 1\n[ingest.environment]\nBIGTABLE_APP_PROFILE = "serving"\n')

    shipped, mine = load(), load(file)

    assert (shipped.ingest.min_instances, mine.ingest.min_instances) == (0, 1)
    assert mine.ingest.environment == {"BIGTABLE_APP_PROFILE": "serving"}
    assert mine.ingest.concurrency == shipped.ingest.concurrency
    assert mine.aggregate == shipped.aggregate


def test_the_defaults_fit_what_the_functions_are() -> None:
    shipped = load()

    assert shipped.all.runtime == f"python{pythons.DEPLOYED.replace('.', '')}"
    assert shipped.aggregate.concurrency == 1
    # The answer comes before the function is stopped, and that before the message is delivered again.
    assert Settings("p", "i").store_deadline < shipped.ingest.timeout < 600
    assert shipped.aggregate.timeout == 540


def test_every_default_has_its_reason_beside_it() -> None:
    lines = SHIPPED.read_text().splitlines()
    explained = {"cpu", "memory", "concurrency", "min_instances", "max_instances", "timeout", "runtime"}

    for key in explained:
        first = next(number for number, line in enumerate(lines) if line.startswith(f"{key} ="))
        assert lines[first - 1].startswith("# "), key
    assert set(tomllib.loads(SHIPPED.read_text())) == {"all", "ingest", "aggregate", "alerts"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[ingest]\nmemroy = '1Gi'", "ingest.memroy: found '1Gi', expected only the keys cpu, memory, concurrency"),
        ("[functions]\ncpu = '1'", "functions: found {'cpu': '1'}, expected only aggregate, alerts, all, ingest"),
        ("ingest = 3", "ingest: found 3, expected a table [ingest]"),
        ("[ingest]\nmemory = 512", "ingest.memory: found 512, expected text"),
        ("[ingest]\nmemory = '512MB'", "ingest.memory: found '512MB', expected 256Mi to 32Gi"),
        ("[ingest]\nmemory = '128Mi'", "ingest.memory: found '128Mi', expected 256Mi to 32Gi"),
        ("[ingest]\ncpu = '0.5'", "ingest.cpu: found '0.5', expected one of 1, 2, 4, 6, 8"),
        ("[ingest]\nconcurrency = 0", "ingest.concurrency: found 0, expected 1 to 1000"),
        ("[aggregate]\nconcurrency = 2", "aggregate.concurrency: found 2, expected 1, since a message is a day's work"),
        ("[ingest]\nmin_instances = 5\nmax_instances = 4", "ingest.max_instances: found 4, expected 5 to 1000"),
        ("[aggregate]\ntimeout = 3600", "aggregate.timeout: found 3600, expected 1 to 540"),
        ("[all]\nruntime = 'python310'", "all.runtime: found 'python310', expected one that bundles are tested under"),
        ("[ingest.environment]\nGCP_PROJECT_ID = 'x'", "ingest.environment.GCP_PROJECT_ID: found 'x', expected"),
        ("[ingest.environment]\n'A B' = 'x'", "ingest.environment.A B: found 'x', expected a variable"),
        ("[ingest.environment]\nA = 'x${NUMBER}'", "ingest.environment.A: found 'x${NUMBER}', expected text without"),
        ("[alerts]\nnotification_channels = ['me']", "alerts.notification_channels: found 'me', expected projects/"),
        ("[ingest", "found what isn't TOML"),
    ],
)
def test_what_is_wrong_is_refused_with_file_key_found_and_expected(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=re.escape(str(file))) as refused:
        load(file)

    assert expected in str(refused.value)


def test_a_file_that_isnt_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: can't be read: No such file"):
        load(Path("nowhere.toml"))
