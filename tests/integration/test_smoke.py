"""The smoke test of a deployment: one event goes through the pipeline and is removed again."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli.commands import sluice
from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.bigtable_client import BigTableClient
from shared.config import Settings
from tests.integration.test_replay import running_pipeline
from tests.support.samples import MUSIC_CONTRACT, dump, music_event


def run_smoke(settings: Settings, *arguments: str, contract: Path = MUSIC_CONTRACT) -> Result:
    environment = {
        "GCP_PROJECT_ID": settings.project_id,
        "BIGTABLE_INSTANCE": settings.instance_id,
        "BIGTABLE_EMULATOR_HOST": settings.bigtable_emulator,
        "PUBSUB_EMULATOR_HOST": settings.pubsub_emulator,
        "SLUICE_CONTRACT": str(contract),
    }
    return CliRunner().invoke(sluice, ["smoke", *arguments], env=environment)


@pytest.fixture
def provisioned(settings: Settings) -> Settings:
    backoff = timedelta(milliseconds=100), timedelta(seconds=10)
    provision_pubsub(settings, RESOURCES.with_fast_redelivery(backoff=backoff, ack_deadline=timedelta(seconds=10)))
    return settings


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A contract that rejects the generated event."""
    path = tmp_path / "strict.toml"
    path.write_text(MUSIC_CONTRACT.read_text().replace('"click", ', ""))
    return path


def test_an_event_goes_through_a_running_function_and_is_removed(provisioned: Settings, tmp_path: Path) -> None:
    # Another event in the same row stays.
    with BigTableClient(settings=provisioned) as client:
        client.write_event("sluice-smoke", "other", {"event_type": "click"})
    before = dump(provisioned, "events")
    template = tmp_path / "event.json"
    template.write_text(json.dumps(music_event(2)))

    with running_pipeline(provisioned, MUSIC_CONTRACT):
        plain = run_smoke(provisioned)
        found = json.loads(run_smoke(provisioned, "--json", "--event", str(template)).stdout)

    assert (plain.exit_code, plain.stdout[:17]) == (0, "ok: sluice-smoke-")
    assert plain.stdout.endswith(" s, compared and removed\n")
    assert (found["stored"], found["problem"], found["user"]) == (True, "", "sluice-smoke")
    assert 0 < found["seconds"] < 60
    assert dump(provisioned, "events") == before
    assert not dump(provisioned, "rejected")


def test_a_smoke_test_without_a_function_times_out_and_leaves_nothing(provisioned: Settings) -> None:
    result = run_smoke(provisioned, "--timeout", "0.5", "--json")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["stored"]) == (1, False)
    assert "was not stored within 0.5 s; see the log of ingest, `sluice rejected` and" in found["problem"]
    assert not dump(provisioned, "events")
    assert not dump(provisioned, "rejected")

    result = run_smoke(provisioned, "--timeout", "0.5")
    assert (result.exit_code, str(result.exception)[:23]) == (1, "the event sluice-smoke-")


def test_a_function_with_another_contract_fails_the_smoke_test_at_once(provisioned: Settings, strict: Path) -> None:
    with running_pipeline(provisioned, strict):
        result = run_smoke(provisioned, "--json")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["stored"]) == (1, False)
    assert 'was rejected, so the function has another contract: event_type: found "click", expected' in found["problem"]
    assert found["seconds"] < 60
    assert not dump(provisioned, "events")
    assert not dump(provisioned, "rejected")


def test_an_event_stored_with_another_body_fails_the_smoke_test(provisioned: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(
        MUSIC_CONTRACT.read_text().replace("[fields.event_type]\n", '[fields.event_type]\nfrom = "type"\n')
    )
    event = tmp_path / "event.json"
    event.write_text(json.dumps(music_event(1, type="search")))

    with running_pipeline(provisioned, other):
        result = run_smoke(provisioned, "--event", str(event), "--json")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["stored"]) == (1, True)
    assert "was stored with another body, so the function has another contract: found {" in found["problem"]
    assert not dump(provisioned, "events")
