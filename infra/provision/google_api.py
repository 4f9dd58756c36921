"""Calls of Google's administrative APIs: with a timeout, and errors that name the command that fixes the problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError

from shared.config import Settings
from shared.errors import SettingsError, SluiceError, StoreUnavailableError

# gRPC reports a lost connection as UNAVAILABLE; ConnectionError covers the HTTP requests that fetch a token.
is_transient = if_exception_type(
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.DeadlineExceeded,
    exceptions.TooManyRequests,
    exceptions.Aborted,
    ConnectionError,
)
TIMEOUT = 60.0  # seconds, for a call including its retries
LOGIN = "gcloud auth application-default login"
T = TypeVar("T")

_MEMBER = '--member="user:$(gcloud config get-value account)"'
# Matched at the start of the text only, since a resource name may contain these words as well: "Instance
# projects/p/instances/i not found" matches, "Table projects/p/instances/instance/tables/t not found" doesn't.
_NO_INSTANCE = re.compile(r"(the |requested )?instance\b", re.IGNORECASE)
_NO_PROJECT = re.compile(r"(the |requested )?project\b", re.IGNORECASE)
_DISABLED = re.compile(r"has not been used in project|is disabled|not enabled", re.IGNORECASE)


class ApiDisabledError(SettingsError):
    """An API isn't enabled in the project; the text names the command that enables it."""


@dataclass(frozen=True, slots=True)
class Api:
    """One of Google's APIs.

    Attributes:
        service: the name to enable it by.
        role: the role that allows all calls made here.
        grant_command: the command that grants a role, without member and role.
    """

    service: str
    role: str
    grant_command: str


PUBSUB = Api("pubsub.googleapis.com", "roles/pubsub.editor", "gcloud projects add-iam-policy-binding {project}")
BIGTABLE = Api(
    "bigtableadmin.googleapis.com",
    "roles/bigtable.admin",
    "gcloud bigtable instances add-iam-policy-binding {instance} --project={project}",
)
SCHEDULER = Api(
    "cloudscheduler.googleapis.com",
    "roles/cloudscheduler.admin",
    "gcloud projects add-iam-policy-binding {project}",
)
FUNCTIONS = Api(
    "cloudfunctions.googleapis.com",
    "roles/cloudfunctions.viewer",
    "gcloud projects add-iam-policy-binding {project}",
)


class Caller:
    """Calls of one API. Error texts begin with the resource that the call is about.

    Every method raises SettingsError if the API refuses the call, and StoreUnavailableError if it doesn't answer.
    """

    def __init__(self, settings: Settings, api: Api) -> None:
        self._settings = settings
        self._api = api

    def call(self, title: str, method: Callable[..., T], **arguments: Any) -> T:
        """Call a method that must succeed."""
        with translate_errors(title, self._settings, self._api):
            return self._call(method, arguments)

    def find(self, title: str, method: Callable[..., T], **arguments: Any) -> T | None:
        """Call a method that reads a resource; returns None if it doesn't exist."""
        with translate_errors(title, self._settings, self._api):
            try:
                return self._call(method, arguments)
            except exceptions.NotFound as error:
                if _NO_INSTANCE.match(error.message) or _NO_PROJECT.match(error.message):
                    raise
                return None

    def create(self, title: str, method: Callable[..., object], **arguments: Any) -> bool:
        """Call a method that creates a resource; returns False if it exists."""
        with translate_errors(title, self._settings, self._api):
            try:
                self._call(method, arguments)
            except exceptions.AlreadyExists:
                return False
            return True

    def delete(self, title: str, method: Callable[..., object], **arguments: Any) -> bool:
        """Call a method that deletes a resource; returns False if it doesn't exist."""
        with translate_errors(title, self._settings, self._api):
            try:
                self._call(method, arguments)
            except exceptions.NotFound:
                return False
            return True

    @staticmethod
    def _call(method: Callable[..., T], arguments: dict[str, Any]) -> T:
        return method(timeout=TIMEOUT, retry=Retry(is_transient, timeout=TIMEOUT), **arguments)


@contextmanager
def translate_errors(title: str, settings: Settings, api: Api) -> Iterator[None]:
    """Translate errors of Google's clients to SluiceError."""
    try:
        yield
    except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
        raise translated_error(error, title, settings, api) from None


def translated_error(error: Exception, title: str, settings: Settings, api: Api) -> SluiceError:
    """Return the SluiceError for an error of Google's clients, with the command that fixes the problem if known.

    Args:
        error: the error of the client.
        title: the requested resource, such as "topic events".
        settings: the project and the instance.
        api: the called API.
    """
    if isinstance(error, GoogleAuthError):
        return SettingsError(_with_command(title, f"no credentials of Google Cloud: {error}", LOGIN))
    cause = error.cause if isinstance(error, exceptions.RetryError) and error.cause else error
    message = getattr(cause, "message", None) or str(cause)
    if isinstance(error, exceptions.RetryError) or is_transient(error):
        return StoreUnavailableError(f"{title}: the service doesn't answer: {message}")
    diagnosis = _diagnose(cause, message, settings, api) if isinstance(cause, exceptions.GoogleAPICallError) else None
    if diagnosis is None:
        return SettingsError(f"{title}: refused: {message}")
    return (ApiDisabledError if _is_disabled(cause, message) else SettingsError)(_with_command(title, *diagnosis))


def _with_command(title: str, problem: str, command: str) -> str:
    return f"{title}: {problem.rstrip('.')}. Try:\n  {command}"


def _is_disabled(error: exceptions.GoogleAPICallError, message: str) -> bool:
    by_message = isinstance(error, exceptions.Forbidden) and _DISABLED.search(message) is not None
    return by_message or error.reason == "SERVICE_DISABLED"


def _diagnose(
    error: exceptions.GoogleAPICallError, message: str, settings: Settings, api: Api
) -> tuple[str, str] | None:
    """Return the problem and the command that fixes it; None for an unknown error.

    The reasons are those of https://cloud.google.com/apis/design/errors#error_info.
    """
    project, details = settings.project_id, error.metadata or {}
    if _is_disabled(error, message):
        service = details.get("service", api.service)
        return f"{service} isn't enabled in {project}", f"gcloud services enable {service} --project={project}"
    if error.reason == "BILLING_DISABLED":
        command = f"gcloud billing projects link {project} --billing-account=ACCOUNT_ID"
        return f"{project} has no billing account", command
    if error.reason == "CONSUMER_INVALID" or (isinstance(error, exceptions.NotFound) and _NO_PROJECT.match(message)):
        return f"there is no project {project}, or you may not see it", "gcloud projects list"
    if isinstance(error, exceptions.Unauthorized):
        return f"no valid credentials of Google Cloud: {message}", LOGIN
    if isinstance(error, exceptions.Forbidden):
        permission, where = details.get("permission", f"that {api.role} gives"), details.get("resource", project)
        bind = api.grant_command.format(project=project, instance=settings.instance_id)
        return f"the permission {permission} is missing on {where}", f"{bind} {_MEMBER} --role={api.role}"
    if api is BIGTABLE and isinstance(error, exceptions.NotFound):
        command = (
            f"gcloud bigtable instances create {settings.instance_id} --project={project} --display-name=Sluice "
            f"--cluster-config=id={settings.instance_id}-c1,zone={settings.region}-b,nodes=1"
        )
        return f"there is no Bigtable instance {settings.instance_id} in {project}", command
    if api is BIGTABLE and isinstance(error, exceptions.FailedPrecondition) and "protect" in message:
        command = f"gcloud bigtable instances tables update TABLE --instance={settings.instance_id} --project={project}"
        return message, f"{command} --no-deletion-protection"
    if api is SCHEDULER and "location" in message.lower():
        return f"{settings.region} (GCP_REGION): {message}", f"gcloud scheduler locations list --project={project}"
    return None
