"""Settings come from the environment or from arguments, and errors name the invalid one."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from infra.provision.resources import RESOURCES
from shared.config import DEFAULT_CONTRACT, Settings, contract_path
from shared.errors import SettingsError
from shared.names import account_name, resource_name

ENVIRONMENT = {"GCP_PROJECT_ID": "project", "BIGTABLE_INSTANCE": "instance"}


def test_two_variables_are_sufficient() -> None:
    assert Settings.from_environment(ENVIRONMENT) == Settings("project", "instance", DEFAULT_CONTRACT)
    assert DEFAULT_CONTRACT.is_file()


def test_every_setting_has_a_variable() -> None:
    environment = {
        **ENVIRONMENT,
        "SLUICE_NAME": "shop",
        "SLUICE_CONTRACT": "a/b.toml",
        "BIGTABLE_APP_PROFILE": "batch",
        "BIGTABLE_EMULATOR_HOST": "localhost:1",
        "PUBSUB_EMULATOR_HOST": "localhost:2",
        "CLOUD_SCHEDULER_EMULATOR_HOST": "localhost:3",
        "GCP_REGION": "europe-west3",
        "SLUICE_STORE_DEADLINE": "2.5",
        "SLUICE_DAY_DEADLINE": "513",
        "SLUICE_CPU": "0.5",
        "SLUICE_SUMMARY_INTERVAL": "0.5",
        "SLUICE_LOOKBACK_DAYS": "30",
    }

    assert Settings.from_environment(environment) == Settings(
        project_id="project",
        instance_id="instance",
        name="shop",
        contract=Path("a/b.toml"),
        app_profile="batch",
        bigtable_emulator="localhost:1",
        pubsub_emulator="localhost:2",
        scheduler_emulator="localhost:3",
        region="europe-west3",
        store_deadline=2.5,
        day_deadline=513.0,
        cpu=0.5,
        summary_interval=0.5,
        lookback_days=30,
    )


def test_no_representation_shows_the_mask_key() -> None:
    settings = Settings("project", "instance", mask_key="s3cret")

    for shown in (repr(settings), pretty_repr(settings)):
        assert "s3cret" not in shown
        assert "mask_key" not in shown
        assert "project_id='project'" in shown


def test_pickled_settings_are_equal_and_keep_the_mask_key() -> None:
    settings = Settings("project", "instance", mask_key="s3cret")

    assert pickle.loads(pickle.dumps(settings)) == settings
    assert settings != Settings("project", "instance")


def test_empty_variables_give_defaults() -> None:
    emulators = ["BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "CLOUD_SCHEDULER_EMULATOR_HOST"]
    empty = dict.fromkeys(
        [
            "SLUICE_NAME",
            "SLUICE_CONTRACT",
            "GCP_REGION",
            "SLUICE_STORE_DEADLINE",
            "SLUICE_DAY_DEADLINE",
            "SLUICE_CPU",
            *emulators,
        ],
        "",
    )

    assert Settings.from_environment({**ENVIRONMENT, **empty}) == Settings("project", "instance")


def test_arguments_override_variables() -> None:
    environment = {**ENVIRONMENT, "SLUICE_CONTRACT": "a.toml"}

    settings = Settings.from_environment(environment, project_id="p", instance_id="i", contract="b.toml")

    assert (settings.project_id, settings.instance_id, settings.contract) == ("p", "i", Path("b.toml"))


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "SLUICE_CONTRACT": "c.toml"}.items():
        monkeypatch.setenv(name, value)

    assert Settings.from_environment().project_id == "project"
    assert contract_path() == Path("c.toml")
    assert contract_path("d.toml") == Path("d.toml")
    assert contract_path(environment={}) == DEFAULT_CONTRACT


@pytest.mark.parametrize("value", ["", "a/b", " a", "a\n"])
@pytest.mark.parametrize(("variable", "name"), [("GCP_PROJECT_ID", "project_id"), ("BIGTABLE_INSTANCE", "instance_id")])
def test_invalid_identifiers_are_refused(variable: str, name: str, value: str) -> None:
    expected = f"{variable} (or {name}=): found {value!r}, expected an identifier such as my-"

    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({**ENVIRONMENT, variable: value})
    assert str(caught.value).startswith(expected)
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(ENVIRONMENT, **{name: value})  # type: ignore[arg-type]
    assert str(caught.value).startswith(expected)


def test_a_missing_identifier_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"BIGTABLE_INSTANCE \(or instance_id=\): found '', expected"):
        Settings.from_environment({"GCP_PROJECT_ID": "project"})


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e9"])
@pytest.mark.parametrize(
    ("variable", "maximum"),
    [
        ("SLUICE_STORE_DEADLINE", "540"),
        ("SLUICE_SUMMARY_INTERVAL", "60"),
        ("SLUICE_LOOKBACK_DAYS", "36500"),
        ("SLUICE_CPU", "1000"),
    ],
)
def test_invalid_numbers_are_refused(variable: str, maximum: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({**ENVIRONMENT, variable: value})

    assert str(caught.value) == f"{variable}: found {value!r}, expected a number above 0 and up to {maximum}"


def test_lookback_days_are_rounded_up() -> None:
    assert Settings.from_environment({**ENVIRONMENT, "SLUICE_LOOKBACK_DAYS": "0.5"}).lookback_days == 1


def test_a_name_prefixes_every_resource_of_a_pipeline_but_the_default_one() -> None:
    assert Settings("p", "i").resource("events") == "events"
    assert Settings("p", "i", name="shop").resource("events") == "shop-events"


def test_the_name_of_an_argument_overrides_the_variable() -> None:
    environment = {**ENVIRONMENT, "SLUICE_NAME": "shop"}

    assert Settings.from_environment(environment).name == "shop"
    assert Settings.from_environment(environment, name="web").name == "web"


@pytest.mark.parametrize("name", ["a", "shop", "shop-2", "x" * 20])
def test_the_longest_names_of_resources_are_within_the_limits(name: str) -> None:
    assert Settings.from_environment(ENVIRONMENT, name=name).name == name
    assert all(6 <= len(account_name(name, account)) <= 30 for account in ("aggregate", "build"))
    assert max(len(resource_name(name, table.name)) for table in RESOURCES.tables) <= 50
    assert len(resource_name(name, "aggregate")) <= 63


@pytest.mark.parametrize(
    "name", ["", "Shop", "2shop", "shop-", "-shop", "a_b", "shop/x", " shop", "shop\n", "google", "x" * 21]
)
def test_invalid_names_are_refused(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(ENVIRONMENT, name=name)

    assert str(caught.value).startswith(f"SLUICE_NAME (or --name): found {name!r}, expected up to 20 of a-z, 0-9 and -")
