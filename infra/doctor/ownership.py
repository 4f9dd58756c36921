"""Check before a deployment or a teardown that the resources are the pipeline's own, and where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from google.cloud.scheduler_v1 import CloudSchedulerClient

from infra.deploy.gcloud import gcloud
from infra.provision import marks
from infra.provision.google_api import SCHEDULER, ApiDisabledError, Caller
from infra.provision.plan import Change
from infra.provision.provisioner import compare
from infra.provision.resources import ALL_RESOURCES, RESOURCES
from infra.provision.scheduler_client import scheduler_client
from shared.config import Settings
from shared.errors import SettingsError, SluiceError

Query = Callable[[Sequence[str]], str]

_FUNCTIONS_API = "cloudfunctions.googleapis.com"


def require_marks(settings: Settings, *, tables: bool) -> None:
    """Check that the existing resources under the pipeline's names have its mark.

    Args:
        settings: the project, the instance and the name of the pipeline.
        tables: also check the tables.

    Raises:
        SettingsError: a resource has another mark, or none; or the caller lacks permission.
        StoreUnavailableError: a service doesn't answer.
    """
    for _, outcome in compare(settings, ALL_RESOURCES):
        if isinstance(outcome, SluiceError):
            if isinstance(outcome, ApiDisabledError):
                continue  # an API that isn't enabled has no resources
            raise outcome
        for change in outcome if isinstance(outcome, list) else ():
            if change.action in ("adopt", "refuse") and (tables or change.kind != "table"):
                raise SettingsError(_refusal(change))


def _refusal(change: Change) -> str:
    remedy = "; `sluice provision --adopt` takes it over" if change.action == "adopt" else ""
    return f"{change.title}: {change.text}; nothing was changed{remedy}"


def check_region(settings: Settings, query: Query) -> None:
    """Check that a function or a job of the pipeline is in the region of the settings, if there are any at all.

    Args:
        settings: the project, the region and the name of the pipeline.
        query: runs a read-only gcloud command and returns its output; raises SluiceError if it fails.

    Raises:
        SettingsError: all of them are in other regions, or the caller lacks permission.
    """
    found = {*_regions_of_functions(settings, query), *_regions_of_jobs(settings)}
    if found and settings.region not in found:
        raise SettingsError(
            f"region (--region or GCP_REGION): found {settings.region}, expected {' or '.join(sorted(found))}: the "
            f"functions and jobs of the pipeline {settings.name} are there; nothing was removed"
        )


def _regions_of_functions(settings: Settings, query: Query) -> list[str]:
    where = {"project": settings.project_id}
    selection = {"filter": f"config.name={_FUNCTIONS_API}", "format": "value(config.name)"}
    if not query(gcloud("services", "list", enabled=True, **selection, **where)):
        return []
    # The full name is projects/PROJECT/locations/REGION/functions/FUNCTION.
    selection = {"filter": f"labels.{marks.LABEL}={settings.name}", "format": "value(name.segment(3))"}
    return query(gcloud("functions", "list", v2=True, **selection, **where)).split()


def _regions_of_jobs(settings: Settings) -> Iterator[str]:
    caller = Caller(settings, SCHEDULER)
    project = f"projects/{settings.project_id}"
    with scheduler_client(settings) as client:
        try:
            regions = caller.call("locations of Cloud Scheduler", _list_regions, client=client, project=project)
        except ApiDisabledError:
            return
        for region in regions:
            for job in RESOURCES.named(settings.name).jobs:
                name = f"{project}/locations/{region}/jobs/{job.name}"
                existing = caller.find(f"job {name}", client.get_job, name=name)
                if existing is not None and marks.owner_in_text(existing.description) == settings.name:
                    yield region


def _list_regions(*, client: CloudSchedulerClient, project: str, **options: object) -> list[str]:
    regions: list[str] = []
    token = ""
    while True:
        page = client.list_locations({"name": project, "page_token": token}, **options)
        regions += [location.location_id for location in page.locations]
        token = page.next_page_token
        if not token:
            return regions
