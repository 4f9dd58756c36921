"""Launches the Dataflow job that computes a day with too many events for one instance."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

from shared.config import DataflowSettings, Settings
from shared.errors import SettingsError, StoreUnavailableError

# https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.flexTemplates/launch
ENDPOINT = "https://dataflow.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# Seconds for the call; the job itself takes minutes.
_TIMEOUT = 60.0


def job_name(settings: Settings, day: date) -> str:
    """Return the name of a day's job. Dataflow returns the active job of a name instead of creating a second one.

    >>> job_name(Settings("p", "i", name="shop"), date(2024, 1, 15))
    'shop-aggregate-20240115'
    """
    return f"{settings.name}-aggregate-{day:%Y%m%d}"


async def launch(settings: Settings, dataflow: DataflowSettings, day: date) -> str:
    """Launch the job of a day and return its id.

    Raises:
        StoreUnavailableError: the API doesn't answer or is overloaded.
        SettingsError: the API refuses the job, or there are no credentials.
    """
    return await asyncio.to_thread(_launch, settings, launch_request(settings, dataflow, day))


def launch_request(settings: Settings, dataflow: DataflowSettings, day: date) -> dict[str, Any]:
    """Return the body of the request that launches the job of a day."""
    parameters = {
        "date": day.isoformat(),
        "project_id": settings.project_id,
        "instance_id": settings.instance_id,
        "name": settings.name,
        "contract": settings.contract.name,
    }
    environment = {
        "serviceAccountEmail": dataflow.service_account,
        "tempLocation": dataflow.staging,
        "stagingLocation": dataflow.staging,
        "maxWorkers": dataflow.max_workers,
        "sdkContainerImage": dataflow.image,
    }
    return {
        "launchParameter": {
            "jobName": job_name(settings, day),
            "containerSpecGcsPath": dataflow.template,
            "parameters": parameters,
            "environment": environment,
        }
    }


def _launch(settings: Settings, body: dict[str, Any]) -> str:
    # These imports take a tenth of a second; a day that the function computes itself doesn't need them.
    import google.auth
    import requests
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.auth.transport.requests import AuthorizedSession

    name = body["launchParameter"]["jobName"]
    url = f"{ENDPOINT}/v1b3/projects/{settings.project_id}/locations/{settings.region}/flexTemplates:launch"
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
        with AuthorizedSession(credentials) as session:
            response = session.post(url, json=body, timeout=_TIMEOUT)
    except (requests.RequestException, TransportError) as error:
        raise StoreUnavailableError(f"Dataflow job {name}: no answer: {error}") from None
    except GoogleAuthError as error:
        raise SettingsError(f"Dataflow job {name}: found no valid credentials: {error}") from None
    if response.status_code == requests.codes.too_many_requests or response.status_code >= 500:
        raise StoreUnavailableError(f"Dataflow job {name}: {response.status_code}: {response.text[:500]}")
    if not response.ok:
        raise SettingsError(f"Dataflow job {name}: refused with {response.status_code}: {response.text[:500]}")
    job_id: str = response.json()["job"]["id"]
    return job_id
