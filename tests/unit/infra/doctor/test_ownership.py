"""Resources of others are refused, and a teardown in a region without functions and jobs of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions

from infra.doctor import ownership
from infra.doctor.ownership import check_region, require_marks
from infra.provision.google_api import ApiDisabledError
from infra.provision.plan import Change
from infra.provision.resources import Resources
from shared.config import Settings
from shared.errors import SettingsError, SluiceError, StoreUnavailableError

SETTINGS = Settings("my-project", "my-instance", name="shop", region="us-central1")
Outcome = list[Change] | SluiceError | str


class Gcloud:
    """A fake gcloud with functions in regions, and the APIs enabled or not."""

    def __init__(self, *regions: str, enabled: bool = True) -> None:
        self.regions = regions
        self.enabled = enabled
        self.commands: list[tuple[str, ...]] = []

    def __call__(self, command: Sequence[str]) -> str:
        self.commands.append(tuple(command))
        if "services" in command:
            return "cloudfunctions.googleapis.com" if self.enabled else ""
        return "\n".join(self.regions)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The descriptions of the existing jobs of the pipeline by their regions; each page has one region."""
    descriptions: dict[str, str] = {}
    regions = ["europe-west1", "us-central1", "us-east1"]

    def list_locations(request: dict[str, str], **_: Any) -> Any:
        number = int(request["page_token"] or 0)
        token = str(number + 1) if number + 1 < len(regions) else ""
        return SimpleNamespace(locations=[SimpleNamespace(location_id=regions[number])], next_page_token=token)

    def get_job(name: str, **_: Any) -> Any:
        region = name.split("/")[3]
        assert name == f"projects/my-project/locations/{region}/jobs/shop-aggregate-daily"
        if region not in descriptions:
            raise exceptions.NotFound("Job not found.")
        return SimpleNamespace(description=descriptions[region])

    @contextmanager
    def client(_: Settings) -> Iterator[Any]:
        yield SimpleNamespace(list_locations=list_locations, get_job=get_job)

    monkeypatch.setattr(ownership, "scheduler_client", client)
    return descriptions


def test_the_region_of_functions_is_accepted(jobs: dict[str, str]) -> None:
    gcloud = Gcloud("us-central1")

    check_region(SETTINGS, gcloud)

    assert "--filter=labels.sluice=shop" in gcloud.commands[-1]
    assert not any(word.startswith("--regions") for word in gcloud.commands[-1])


def test_any_region_is_accepted_for_a_pipeline_without_functions_and_jobs(jobs: dict[str, str]) -> None:
    check_region(SETTINGS, Gcloud())
    check_region(SETTINGS, Gcloud("us-east1", enabled=False))


def test_a_teardown_in_another_region_than_the_functions_is_refused(jobs: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        check_region(SETTINGS, Gcloud("europe-west1", "us-east1"))

    assert str(caught.value) == (
        "region (--region or GCP_REGION): found us-central1, expected europe-west1 or us-east1: the functions and jobs "
        "of the pipeline shop are there; nothing was removed"
    )


def test_a_teardown_in_another_region_than_the_job_is_refused(jobs: dict[str, str]) -> None:
    jobs["us-east1"] = "Request the aggregates. (sluice=shop)"

    with pytest.raises(SettingsError, match="found us-central1, expected us-east1:"):
        check_region(SETTINGS, Gcloud())


def test_a_pipeline_in_two_regions_can_be_removed_from_each(jobs: dict[str, str]) -> None:
    jobs["us-central1"] = "Request the aggregates. (sluice=shop)"

    check_region(SETTINGS, Gcloud("us-east1"))


def test_the_job_of_another_pipeline_in_another_region_has_no_effect(jobs: dict[str, str]) -> None:
    jobs["us-east1"] = "Request the aggregates. (sluice=shop-2)"

    check_region(SETTINGS, Gcloud())


def outcomes(monkeypatch: pytest.MonkeyPatch, *given: Outcome) -> None:
    def compare(_: Settings, resources: Resources) -> Iterator[tuple[str, Outcome]]:
        assert [job.name for job in resources.jobs] == ["aggregate-daily", "aggregate-intraday"]
        return iter([("resources", each) for each in given])

    monkeypatch.setattr(ownership, "compare", compare)


def test_resources_with_the_mark_may_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = Change("change", "topic", "shop-events", text="anything")
    outcomes(monkeypatch, [changed], "a note", ApiDisabledError("off"))

    require_marks(SETTINGS, tables=True)


def test_a_resource_without_the_mark_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, [Change("adopt", "topic", "shop-events", text="found no mark, expected sluice=shop")])

    with pytest.raises(SettingsError) as caught:
        require_marks(SETTINGS, tables=False)
    assert str(caught.value) == (
        "topic shop-events: found no mark, expected sluice=shop; nothing was changed; "
        "`sluice provision --adopt` takes it over"
    )


def test_a_table_of_another_pipeline_matters_only_if_tables_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, [Change("refuse", "table", "shop-events", text="found the mark sluice=web")])

    require_marks(SETTINGS, tables=False)
    with pytest.raises(SettingsError, match=r"^table shop-events: found the mark sluice=web; nothing was changed$"):
        require_marks(SETTINGS, tables=True)


def test_nothing_is_removed_if_the_resources_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, StoreUnavailableError("tables: the service doesn't answer"))

    with pytest.raises(StoreUnavailableError):
        require_marks(SETTINGS, tables=True)
