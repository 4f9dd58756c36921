"""The addresses of deployed functions, which Pub/Sub pushes messages to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import google.auth
from google.api_core.exceptions import ServiceUnavailable, from_http_response
from google.api_core.retry import Retry
from google.auth.transport.requests import AuthorizedSession
from requests import RequestException

from infra.provision.google_api import FUNCTIONS, ApiDisabledError, Caller, translate_errors
from shared.config import Settings

_ADDRESS = "https://cloudfunctions.googleapis.com"
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def function_urls(
    settings: Settings, functions: Iterable[str], session: AuthorizedSession | None = None, address: str = _ADDRESS
) -> dict[str, str]:
    """Return the address of each function that is deployed in the region, such as `https://ingest-x-uc.a.run.app`.

    It is the address of the Cloud Run service. With internal ingress, a service accepts pushes of its own project there
    and not at the address in cloudfunctions.net (https://cloud.google.com/run/docs/securing/ingress). A project whose
    Cloud Functions API isn't enabled has no functions.

    Args:
        settings: the project and the region.
        functions: the declared names of the functions.
        session: an HTTP session with credentials; by default one with the application-default credentials.
        address: the address of the Cloud Functions API.

    Raises:
        SettingsError: the caller lacks permission or credentials.
        StoreUnavailableError: the service doesn't answer.
    """
    caller = Caller(settings, FUNCTIONS)
    if session is None:
        with translate_errors("functions", settings, FUNCTIONS):
            credentials, _ = google.auth.default(scopes=_SCOPES)
        session = AuthorizedSession(credentials)
    urls = {}
    for name in functions:
        title, location = settings.resource(name), f"projects/{settings.project_id}/locations/{settings.region}"
        url = f"{address}/v2/{location}/functions/{title}"
        try:
            found = caller.find(f"function {title}", _get, session=session, url=url)
        except ApiDisabledError:
            return {}
        if found and (uri := found.get("serviceConfig", {}).get("uri")):
            urls[name] = uri
    return urls


def _get(*, session: AuthorizedSession, url: str, timeout: float, retry: Retry) -> dict[str, Any]:
    """Return the resource at a URL of a REST API; raises GoogleAPICallError."""

    def get_once() -> dict[str, Any]:
        try:
            response = session.get(url, timeout=timeout)
            found: dict[str, Any] = response.json()
        except RequestException as error:  # no connection, or a response that isn't JSON
            raise ServiceUnavailable(str(error)) from None
        if response.status_code != 200:
            raise from_http_response(response)
        return found

    found: dict[str, Any] = retry(get_once)()
    return found
