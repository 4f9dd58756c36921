"""deploy, destroy, doctor --cloud and cost through the entry point, with a fake gcloud that records its calls."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from infra.deploy.cost import price_table
from infra.doctor import drift, ownership
from infra.doctor.local import CheckResult
from shared.config import Settings
from shared.errors import SettingsError
from tests.support.command_line import Sluice, command_line
from tests.support.samples import MUSIC_CONTRACT

# Prints a number for every --format option, and the file `unowned` for what lacks the pipeline's mark.
# Fails if the command matches the pattern in the file `fails`.
FAKE = """#!/bin/sh
printf '%s\\n' "$*" >>calls
if [ -f fails ] && echo "$*" | grep -q "$(cat fails)"; then echo "ERROR: (gcloud) denied" >&2; exit 1; fi
case "$*" in *auth*) [ ! -f nobody ] || exit 0 ;; esac
case "$*" in *" AND NOT "*) [ ! -f unowned ] || cat unowned; exit 0 ;; esac
case "$*" in *--format=*) echo 123 ;; *) echo "OUTPUT" ;; esac
"""


@pytest.fixture
def sluice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sluice:
    """Run the command in an empty folder, with a project in the environment and the fake gcloud on the path."""
    (tmp_path / "bin").mkdir()
    for name, output in (("gcloud", "a whole policy"), ("sluice", "~ subscription events-ingest")):
        fake = tmp_path / "bin" / name
        fake.write_text(FAKE.replace("OUTPUT", output))
        fake.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("GCP_PROJECT_ID", "my-project")
    monkeypatch.setenv("BIGTABLE_INSTANCE", "my-instance")
    monkeypatch.setattr(drift, "credentials", lambda: CheckResult("credentials", ok=True, text="valid"))
    monkeypatch.setattr(ownership, "require_marks", lambda *_, **__: None)
    for variable in (
        "BIGTABLE_EMULATOR_HOST",
        "PUBSUB_EMULATOR_HOST",
        "CLOUD_SCHEDULER_EMULATOR_HOST",
        "SLUICE_CONTRACT",
        "SLUICE_NAME",
        "GCP_REGION",
    ):
        monkeypatch.delenv(variable, raising=False)

    return command_line(monkeypatch, capfd)


def calls() -> list[str]:
    return Path("calls").read_text().splitlines() if Path("calls").exists() else []


def test_a_dry_run_of_deploy_prints_a_script_and_runs_nothing(sluice: Sluice) -> None:
    done = sluice("deploy", "--dry-run")

    assert done.code == 0
    assert subprocess.run(["bash", "-n"], input=done.out, text=True).returncode == 0
    assert "gcloud functions deploy ingest --gen2" in done.out
    assert "--source=build/ingest" in done.out
    assert (calls(), Path("build").exists()) == ([], False)


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_a_configured_service_account_is_used_and_its_roles_are_removed(sluice: Sluice, name: str) -> None:
    Path("mine.toml").write_text("[ingest]\nservice_account = 'mine@other.iam.gserviceaccount.com'\n")

    out = sluice(name, "--dry-run", "--config", "mine.toml").out

    verb = "add" if name == "deploy" else "remove"
    binding = f"tables {verb}-iam-policy-binding events --member=serviceAccount:mine@other.iam.gserviceaccount.com"
    assert binding in out
    assert "sluice-ingest" not in out


def test_a_contract_with_hashed_fields_needs_the_key_as_a_secret(sluice: Sluice) -> None:
    contract = MUSIC_CONTRACT.read_text("utf-8").replace("[fields.user_id]", '[fields.user_id]\nmask = "hash"')
    Path("hashed.toml").write_text(contract, "utf-8")

    refused = sluice("deploy", "--dry-run", "--contract", "hashed.toml")
    Path("mine.toml").write_text('[ingest.secrets]\nSLUICE_MASK_KEY = "mask-key:latest"\n')
    accepted = sluice("deploy", "--dry-run", "--contract", "hashed.toml", "--config", "mine.toml")

    assert (refused.code, refused.out) == (1, "")
    assert "ingest.secrets.SLUICE_MASK_KEY: found nothing, expected a secret such as" in refused.err
    assert accepted.code == 0
    assert accepted.out.count("--set-secrets=SLUICE_MASK_KEY=mask-key:latest") == 1

    Path("mine.toml").write_text('[ingest.secrets]\nSLUICE_MASK_KEY = "mask-key:latest"\n[load]\nbucket = "my-drops"\n')
    refused = sluice("deploy", "--dry-run", "--contract", "hashed.toml", "--config", "mine.toml")
    assert (refused.code, refused.out) == (1, "")
    assert "load.secrets.SLUICE_MASK_KEY: found nothing" in refused.err


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_the_region_option_overrides_the_environment(
    sluice: Sluice, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GCP_REGION", "asia-east1")

    assert "europe-west4" not in sluice(name, "--dry-run").out
    assert "asia-east1" not in sluice(name, "--dry-run", "--region", "europe-west4").out


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_the_name_prefixes_every_resource_of_the_script(sluice: Sluice, name: str) -> None:
    out = sluice(name, "--dry-run", "--name", "shop", "--project-id", "p", "--instance-id", "i").out

    assert "shop-ingest" in out
    assert "sluice-ingest" not in out
    assert "policy-binding events" not in out


def test_deploy_refuses_topics_and_tables_without_the_mark_before_any_step(
    sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(settings: Settings, *, tables: bool) -> None:
        raise SettingsError(f"table {settings.resource('events')}: found no mark ({tables})")

    monkeypatch.setattr(ownership, "require_marks", refuse)

    done = sluice("deploy", "--name", "shop")

    assert (done.code, done.err) == (1, "sluice: table shop-events: found no mark (True)\n")
    assert (calls(), Path("build").exists()) == ([], False)


def test_deploy_refuses_functions_without_the_mark_before_anything_is_changed(sluice: Sluice) -> None:
    Path("unowned").write_text("projects/my-project/locations/us-central1/functions/ingest\n")

    done = sluice("deploy")

    assert done.code == 1
    assert done.err.endswith(
        "found projects/my-project/locations/us-central1/functions/ingest, expected functions with the mark "
        "sluice=sluice; `sluice deploy --adopt` takes over unmarked ones\n"
    )
    assert [line for line in calls() if line.startswith(("services enable", "projects describe"))] == calls()[:-1]


def test_deploy_creates_the_bundles_and_runs_all_steps(sluice: Sluice) -> None:
    done = sluice("deploy")

    assert done.code == 0, done.err
    assert "a whole policy" not in done.out
    bundles = "bundle build/ingest\nbundle build/aggregate\nbundle build/query\nbundle build/load\n"
    assert done.out.startswith(f"{bundles}the APIs of the pipeline\n")
    assert Path("build/ingest/main.py").exists()
    assert [line.split()[:3] for line in calls() if line.startswith("functions deploy")] == [
        ["functions", "deploy", "ingest"],
        ["functions", "deploy", "aggregate"],
        ["functions", "deploy", "query"],
    ]
    assert calls()[-1].startswith("provision --name=sluice --project-id=my-project --instance-id=my-instance ")
    assert done.out.endswith(
        "the subscriptions push to the functions\n~ subscription events-ingest\n"
        "deployed; `sluice doctor --cloud` checks the deployment\n"
    )


@pytest.mark.parametrize("name", ["deploy", "bundle"])
def test_the_configuration_adds_the_otlp_exporter_to_the_bundle(sluice: Sluice, name: str) -> None:
    Path("mine.toml").write_text(
        '[metrics]\notlp = true\n[ingest.environment]\nOTEL_EXPORTER_OTLP_ENDPOINT = "http://c"\n'
    )

    for config, expected in (((), False), (("--config", "mine.toml"), True)):
        assert sluice(name, *config).code == 0
        requirements = Path("build/ingest/requirements.txt").read_text()
        assert ("opentelemetry-exporter-otlp-proto-http==" in requirements) is expected


def test_deploy_without_credentials_for_the_subscriptions_changes_nothing(
    sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "credentials", lambda: CheckResult("credentials", ok=False, text="none; `log in`"))

    done = sluice("deploy")

    assert (done.code, done.err, calls()) == (1, "sluice: credentials: none; `log in`\n", [])


def test_deploy_stops_at_the_step_where_gcloud_fails(sluice: Sluice) -> None:
    Path("fails").write_text("functions deploy ingest")

    done = sluice("deploy")

    assert done.code == 1
    assert "ERROR: (gcloud) denied" in done.err
    assert "gcloud ended with exit code 1" in done.err
    assert calls()[-1].startswith("functions deploy ingest")


@pytest.mark.parametrize("variable", ["BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"])
def test_deploy_is_an_error_with_emulators(sluice: Sluice, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "127.0.0.1:1")

    done = sluice("deploy")

    assert (done.code, calls()) == (1, [])
    assert f"{variable}: found 127.0.0.1:1, expected it unset" in done.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("deploy", "--config", "nowhere.toml"), "sluice: nowhere.toml: can't be read: No such file or directory"),
        (("destroy", "--config", "nowhere.toml"), "sluice: nowhere.toml: can't be read: No such file or directory"),
        (("doctor", "--cloud", "--config", "no.toml"), "sluice: no.toml: can't be read: No such file or directory"),
        (("deploy", "--contract", "nowhere.toml"), "nowhere.toml"),
        (("deploy", "--project-id", ""), "GCP_PROJECT_ID (or project_id=): found '', expected an identifier"),
        (("cost", "--events-per-day", "9", "--bytes", "9", "--prices", "no.toml"), "sluice: no.toml: can't be read"),
        (("destroy", "--project-id", "a/b"), "GCP_PROJECT_ID (or project_id=): found 'a/b'"),
    ],
)
def test_invalid_settings_are_an_error_before_any_call(
    sluice: Sluice, arguments: tuple[str, ...], expected: str
) -> None:
    done = sluice(*arguments)

    assert (done.code, calls()) == (1, [])
    assert expected in done.err


@pytest.mark.parametrize("arguments", [("deploy",), ("doctor", "--cloud"), ("destroy", "--yes")])
def test_a_missing_gcloud_is_an_error_with_instructions(
    sluice: Sluice, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("infra.doctor.drift.credentials", lambda: CheckResult("credentials", ok=True, text="valid"))

    done = sluice(*arguments)

    assert done.code == 1
    assert "the Google Cloud CLI isn't installed" in done.out + done.err


def test_the_doctor_stops_after_missing_credentials(sluice: Sluice) -> None:
    Path("nobody").touch()

    done = sluice("doctor", "--cloud")

    assert done.code == 1
    assert done.out == (
        "BAD  credentials: gcloud has no active account; `gcloud auth login && gcloud auth application-default login`\n"
    )
    assert len(calls()) == 1


@pytest.mark.parametrize("option", ["--project-id", "--config"])
def test_project_options_without_cloud_are_wrong_usage(sluice: Sluice, option: str) -> None:
    done = sluice("doctor", option, "other")

    assert (done.code, calls()) == (2, [])
    assert "without --cloud" in done.err


def test_an_inaccessible_project_is_reported_with_the_error_of_gcloud(sluice: Sluice) -> None:
    Path("fails").write_text("projects describe")

    done = sluice("doctor", "--cloud", "--json")

    assert done.code == 1
    assert json.loads(done.out)[-1] == {
        "what": "project",
        "ok": False,
        "text": "ERROR: (gcloud) denied; `gcloud projects list`",
    }


def test_a_dry_run_of_destroy_prints_a_script_and_runs_nothing(sluice: Sluice) -> None:
    done = sluice("destroy", "--dry-run")

    assert done.code == 0
    assert subprocess.run(["bash", "-n"], input=done.out, text=True).returncode == 0
    assert "gcloud functions delete ingest" in done.out
    assert "# job aggregate-daily\n" in done.out
    assert "# table" not in done.out
    assert calls() == []


def test_destroy_without_client_credentials_does_not_call_gcloud(
    sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = CheckResult(
        "application-default credentials", ok=False, text="none; `gcloud auth application-default login`"
    )
    monkeypatch.setattr("infra.doctor.drift.credentials", lambda: found)

    done = sluice("destroy", "--yes")

    assert (done.code, calls()) == (1, [])
    assert done.err == "sluice: application-default credentials: none; `gcloud auth application-default login`\n"


def test_the_items_of_a_cost_estimate_add_up(sluice: Sluice) -> None:
    command = ("cost", "--events-per-day", "10000000", "--bytes", "250")
    estimate = json.loads(sluice(*command, "--json").out)

    assert estimate["total"] == pytest.approx(sum(part["dollars"] for part in estimate["parts"]))
    assert estimate["saved_by_packing"] == pytest.approx(estimate["one_event_a_message"]["total"] - estimate["total"])
    assert estimate["date"] == price_table.load().date.isoformat()
    text = sluice(*command).out
    assert f"{estimate['total']:,.2f}  list prices of us-central1" in text
    assert f"packing saves {estimate['saved_by_packing']:,.2f}" in text
    unpacked = sluice(*command, "--batch-size", "1").out
    assert "packing" not in unpacked
    assert f"{estimate['one_event_a_message']['total']:,.2f}  list prices" in unpacked


def test_a_cost_estimate_shows_the_growth_to_the_retention(sluice: Sluice) -> None:
    command = ("cost", "--events-per-day", "10000000", "--bytes", "250", "--days-stored", "365")
    estimate = json.loads(sluice(*command, "--json").out)

    months = [each["total"] for each in estimate["months"]]
    assert (len(months), months[-1]) == (13, pytest.approx(estimate["total"]))
    assert months == sorted(months)
    text = sluice(*command).out
    assert f"the first month               {months[0]:,.2f}  41.1 GiB, 15 days of events on average" in text
    assert "all retained days from month 13 on" in text


def test_a_cost_estimate_states_the_requests_of_the_read_api(sluice: Sluice) -> None:
    command = ("cost", "--events-per-day", "10000000", "--bytes", "250")

    assert "30 of aggregate, 30,438 of query" in sluice(*command).out
    more = sluice(*command, "--queries-per-day", "1000000").out
    assert "30 of aggregate, 30,437,500 of query" in more
    assert "5,073 of aggregate, 3,043,750 of query" in more


def test_an_edition_needs_its_price(sluice: Sluice) -> None:
    command = ("cost", "--events-per-day", "9", "--bytes", "9", "--edition", "enterprise-plus")
    table = price_table.PRICES.read_text()
    Path("without.toml").write_text(table.replace("per_node_hour_plus = 0.85", ""))
    Path("mine.toml").write_text(table.replace("per_node_hour_plus = 0.85", "per_node_hour_plus = 2"))

    done = sluice(*command, "--prices", "without.toml")

    assert done.code == 1
    assert "bigtable.per_node_hour_plus: found none" in done.err
    assert "620.92  1, always on" in sluice(*command).out
    assert "1,461.00  1, always on" in sluice(*command, "--prices", "mine.toml").out


@pytest.mark.parametrize("invalid", [("--events-per-day", "nan"), ("--events-per-day", "0"), ("--bytes", "-1")])
def test_invalid_cost_options_are_wrong_usage(sluice: Sluice, invalid: tuple[str, str]) -> None:
    options = {"--events-per-day": "1000", "--bytes": "250"} | dict([invalid])

    assert sluice("cost", *(word for pair in options.items() for word in pair)).code == 2


def test_the_cost_estimate_in_the_docs_is_current(sluice: Sluice) -> None:
    docs = Path(__file__).parents[4] / "docs" / "deploy.md"

    assert sluice("cost", "--events-per-day", "10000000", "--bytes", "250").out in docs.read_text("utf-8")
