"""Errors of Google's services name the resource, the problem, and the command that fixes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from infra.provision.google_api import BIGTABLE, PUBSUB, SCHEDULER, Api, Caller, translated_error
from shared.config import Settings
from shared.errors import SettingsError, StoreUnavailableError

SETTINGS = Settings("my-project", "my-instance")


class Failed(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    """A gRPC error with Google's details in the trailing metadata."""

    def __init__(self, code: grpc.StatusCode, message: str, reason: str, **metadata: str) -> None:
        super().__init__()
        packed = AnyMessage()
        packed.Pack(ErrorInfo(reason=reason, domain="googleapis.com", metadata=metadata))
        self._code, self._message = code, message
        self._status = Status(code=code.value[0], message=message, details=[packed])

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> Any:
        return (("grpc-status-details-bin", self._status.SerializeToString()),)


DENIED = grpc.StatusCode.PERMISSION_DENIED
MEMBER = '--member="user:$(gcloud config get-value account)"'


@pytest.mark.parametrize(
    ("api", "error", "problem", "command"),
    [
        (
            PUBSUB,
            Failed(
                DENIED,
                "Not now.",
                "SERVICE_DISABLED",
                service="pubsub.googleapis.com",
                consumer="projects/42",
            ),
            "pubsub.googleapis.com isn't enabled in my-project",
            "gcloud services enable pubsub.googleapis.com --project=my-project",
        ),
        (
            PUBSUB,
            Failed(
                DENIED,
                "User not authorized to perform this action.",
                "IAM_PERMISSION_DENIED",
                permission="pubsub.topics.create",
                resource="projects/my-project",
            ),
            "the permission pubsub.topics.create is missing on projects/my-project",
            f"gcloud projects add-iam-policy-binding my-project {MEMBER} --role=roles/pubsub.editor",
        ),
        (
            BIGTABLE,
            Failed(
                DENIED,
                "Access denied.",
                "IAM_PERMISSION_DENIED",
                permission="bigtable.tables.create",
                resource="projects/my-project/instances/my-instance",
            ),
            "the permission bigtable.tables.create is missing on projects/my-project/instances/my-instance",
            "gcloud bigtable instances add-iam-policy-binding my-instance --project=my-project "
            f"{MEMBER} --role=roles/bigtable.admin",
        ),
        (
            SCHEDULER,
            Failed(DENIED, "This API method requires billing to be enabled.", "BILLING_DISABLED"),
            "my-project has no billing account",
            "gcloud billing projects link my-project --billing-account=ACCOUNT_ID",
        ),
        (
            PUBSUB,
            Failed(DENIED, "Project 'projects/my-project' not found or deleted.", "CONSUMER_INVALID"),
            "there is no project my-project, or you may not see it",
            "gcloud projects list",
        ),
    ],
)
def test_grpc_errors_with_details_name_the_command(api: Api, error: Failed, problem: str, command: str) -> None:
    translated = translated_error(exceptions.from_grpc_error(error), "topic events", SETTINGS, api)

    assert isinstance(translated, SettingsError)
    assert str(translated) == f"topic events: {problem}. Try:\n  {command}"


@pytest.mark.parametrize(
    ("api", "error", "problem", "command"),
    [
        (
            SCHEDULER,
            exceptions.PermissionDenied(
                "Cloud Scheduler API has not been used in project 42 before or it is disabled."
            ),
            "cloudscheduler.googleapis.com isn't enabled in my-project",
            "gcloud services enable cloudscheduler.googleapis.com --project=my-project",
        ),
        (
            SCHEDULER,
            exceptions.PermissionDenied("The principal lacks IAM permission."),
            "the permission that roles/cloudscheduler.admin gives is missing on my-project",
            f"gcloud projects add-iam-policy-binding my-project {MEMBER} --role=roles/cloudscheduler.admin",
        ),
        (
            BIGTABLE,
            exceptions.NotFound("Instance projects/my-project/instances/my-instance not found."),
            "there is no Bigtable instance my-instance in my-project",
            "gcloud bigtable instances create my-instance --project=my-project --display-name=Sluice "
            "--cluster-config=id=my-instance-c1,zone=us-central1-b,nodes=1",
        ),
        (
            PUBSUB,
            exceptions.NotFound("Requested project not found or user does not have access to it (project=my-project)."),
            "there is no project my-project, or you may not see it",
            "gcloud projects list",
        ),
        (
            BIGTABLE,
            exceptions.FailedPrecondition("Table is protected from deletion."),
            "Table is protected from deletion",
            "gcloud bigtable instances tables update TABLE --instance=my-instance --project=my-project "
            "--no-deletion-protection",
        ),
        (
            SCHEDULER,
            exceptions.InvalidArgument("Location 'mars' is not a valid location."),
            "us-central1 (GCP_REGION): Location 'mars' is not a valid location",
            "gcloud scheduler locations list --project=my-project",
        ),
        (
            PUBSUB,
            exceptions.Unauthenticated("Request had invalid authentication credentials."),
            "no valid credentials of Google Cloud: Request had invalid authentication credentials",
            "gcloud auth application-default login",
        ),
        (
            PUBSUB,
            DefaultCredentialsError("Your default credentials were not found."),
            "no credentials of Google Cloud: Your default credentials were not found",
            "gcloud auth application-default login",
        ),
    ],
)
def test_errors_without_details_name_the_command(api: Api, error: Exception, problem: str, command: str) -> None:
    translated = translated_error(error, "it", SETTINGS, api)

    assert isinstance(translated, SettingsError)
    assert str(translated) == f"it: {problem}. Try:\n  {command}"


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServiceUnavailable("failed to connect"),
        exceptions.DeadlineExceeded("failed to connect"),
        exceptions.RetryError("timeout of 60 s", cause=exceptions.ServiceUnavailable("failed to connect")),
    ],
)
def test_an_unavailable_service_is_reported(error: Exception) -> None:
    translated = translated_error(error, "topic events", SETTINGS, PUBSUB)

    assert isinstance(translated, StoreUnavailableError)
    assert str(translated) == "topic events: the service doesn't answer: failed to connect"


def test_other_errors_keep_their_text() -> None:
    translated = translated_error(exceptions.InvalidArgument("out of bounds"), "subscription s", SETTINGS, PUBSUB)

    assert str(translated) == "subscription s: refused: out of bounds"


def _raising(error: Exception) -> Callable[..., None]:
    def call(**_: Any) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    "message",
    [
        "Topic not found",
        "Resource not found (resource=events).",
        "Table projects/my-project/instances/my-instance/tables/events not found.",
        'table "projects/project/instances/instance/tables/events" not found',
    ],
)
def test_a_missing_resource_is_none(message: str) -> None:
    assert Caller(SETTINGS, BIGTABLE).find("it", _raising(exceptions.NotFound(message))) is None


def test_a_missing_instance_is_an_error() -> None:
    error = exceptions.NotFound("Instance projects/my-project/instances/my-instance not found.")
    with pytest.raises(SettingsError, match="table events: there is no Bigtable instance my-instance"):
        Caller(SETTINGS, BIGTABLE).find("table events", _raising(error))


def test_create_returns_whether_the_resource_is_new() -> None:
    caller = Caller(SETTINGS, PUBSUB)

    assert caller.create("topic events", _raising(exceptions.AlreadyExists("exists"))) is False
    assert caller.create("topic events", lambda **_: None) is True
