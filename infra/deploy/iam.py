"""Service accounts and their roles, each role on the one resource that needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from infra.deploy.gcloud import Command, gcloud
from infra.provision import marks
from shared.names import DEFAULT_NAME, account_name, resource_name

Kind = Literal["project", "table", "topic", "subscription", "service", "account", "bucket"]

# Kinds of resources that don't bear the name of a pipeline: it is the user's bucket.
_NOT_OURS: tuple[Kind, ...] = ("project", "bucket")

# Pub/Sub's service agent in a project; ${NUMBER} is the project number.
PUBSUB_AGENT = "service-${NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"
# Cloud Storage's (https://cloud.google.com/storage/docs/projects#service-agents).
STORAGE_AGENT = "service-${NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
AGENTS = {PUBSUB_AGENT: "Pub/Sub's service agent", STORAGE_AGENT: "Cloud Storage's service agent"}


@dataclass(frozen=True, slots=True)
class Account:
    """A service account of the pipeline, without keys.

    Attributes:
        name: its name in the project.
        task: what it does, as a verb phrase.
        owner: the name of the pipeline.
    """

    name: str
    task: str
    owner: str = DEFAULT_NAME

    def email(self, project: str) -> str:
        """Return its address."""
        return address(self.name, project)

    def create_command(self, project: str) -> Command:
        """Return the command that creates the account."""
        words = ("iam", "service-accounts", "create", self.name)
        return gcloud(*words, display_name=self._display_name, project=project)

    def adopt_command(self, project: str) -> Command:
        """Return the command that gives an existing account the pipeline's mark."""
        words = ("iam", "service-accounts", "update", self.email(project))
        return gcloud(*words, display_name=self._display_name, project=project)

    @property
    def _display_name(self) -> str:
        return marks.marked_text(f"Sluice: {self.task}", self.owner)


@dataclass(frozen=True, slots=True)
class Grant:
    """One role of one account on one resource.

    Attributes:
        account: the name of one of our accounts, or the address of another one.
        resource: the name of the resource; "" for the project.
        purpose: what the role is for, as a verb phrase.
        function: the function whose deployment creates the resource, or "".
    """

    account: str
    role: str
    kind: Kind
    resource: str
    purpose: str
    function: str = ""

    def member(self, project: str) -> str:
        """Return the account as a member of an IAM policy."""
        return f"serviceAccount:{address(self.account, project)}"

    def grant_command(self, project: str, instance: str, region: str) -> Command:
        """Return the command that grants the role; it is idempotent."""
        return self._command("add-iam-policy-binding", project, instance, region, **self._binding(project))

    def revoke_command(self, project: str, instance: str, region: str) -> Command:
        """Return the command that revokes the role; it fails if the account doesn't hold it."""
        return self._command("remove-iam-policy-binding", project, instance, region, **self._binding(project))

    def policy_command(self, project: str, instance: str, region: str, **flags: str) -> Command:
        """Return the command that reads the resource's IAM policy, with flags such as `filter` and `format`."""
        return self._command("get-iam-policy", project, instance, region, **flags)

    def _binding(self, project: str) -> dict[str, str]:
        condition = {"condition": "None"} if self.kind == "project" else {}  # without it, gcloud prompts for one
        return {"member": self.member(project), "role": self.role, **condition}

    def _command(self, verb: str, project: str, instance: str, region: str, **flags: str) -> Command:
        match self.kind:
            case "project":
                return gcloud("projects", verb, project, **flags)
            case "table":
                return gcloud("bigtable", "tables", verb, self.resource, **flags, instance=instance, project=project)
            case "account":
                return gcloud("iam", "service-accounts", verb, self.resource, **flags, project=project)
            case "bucket":
                return gcloud("storage", "buckets", verb, f"gs://{self.resource}", **flags, project=project)
            case "service":
                return gcloud("run", "services", verb, self.resource, **flags, region=region, project=project)
            case _:
                return gcloud("pubsub", f"{self.kind}s", verb, self.resource, **flags, project=project)


INGEST = Account(account_name(DEFAULT_NAME, "ingest"), "runs ingest")
AGGREGATE = Account(account_name(DEFAULT_NAME, "aggregate"), "runs aggregate")
QUERY = Account(account_name(DEFAULT_NAME, "query"), "runs query")
LOAD = Account(account_name(DEFAULT_NAME, "load"), "runs load")
PUSH = Account(account_name(DEFAULT_NAME, "push"), "calls ingest and aggregate, for Pub/Sub")
BUILD = Account(account_name(DEFAULT_NAME, "build"), "builds the functions' images")
ACCOUNTS = (INGEST, AGGREGATE, QUERY, PUSH, BUILD)

_USER, _READER = "roles/bigtable.user", "roles/bigtable.reader"
_PUBLISHER = "roles/pubsub.publisher"

GRANTS = (
    Grant(INGEST.name, _USER, "table", "events", "store valid events"),
    Grant(INGEST.name, _USER, "table", "rejected", "store rejected events"),
    Grant(INGEST.name, _USER, "table", "state", "store the contract's fingerprint and the marks of late days"),
    Grant(AGGREGATE.name, _READER, "table", "events", "read a day"),
    Grant(AGGREGATE.name, _READER, "table", "rejected", "count the rejected events of a day"),
    Grant(AGGREGATE.name, _USER, "table", "aggregates", "write the aggregates of a day"),
    Grant(AGGREGATE.name, _USER, "table", "state", "store the valid run of a day and delete marks of late days"),
    Grant(AGGREGATE.name, _PUBLISHER, "topic", "aggregate-requests", "request each of several days separately"),
    Grant(QUERY.name, _READER, "table", "events", "read a user's events"),
    Grant(QUERY.name, _READER, "table", "rejected", "read rejected events"),
    Grant(QUERY.name, _READER, "table", "aggregates", "read measures"),
    Grant(QUERY.name, _READER, "table", "state", "read the runs and the marks of late days"),
    Grant(PUSH.name, "roles/run.invoker", "service", "ingest", "call the function", function="ingest"),
    Grant(PUSH.name, "roles/run.invoker", "service", "aggregate", "call the function", function="aggregate"),
    # The roles of a build, https://cloud.google.com/functions/docs/securing/build-custom-sa
    Grant(BUILD.name, "roles/logging.logWriter", "project", "", "write the build log"),
    Grant(BUILD.name, "roles/artifactregistry.writer", "project", "", "store the image"),
    Grant(BUILD.name, "roles/storage.objectViewer", "project", "", "read the uploaded source"),
    # Google grants this role with the service agent, but an older project or one with a changed policy may lack it. No
    # push is authenticated then (https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions).
    Grant(PUBSUB_AGENT, "roles/pubsub.serviceAgent", "project", "", "sign the tokens of pushes"),
    Grant(PUBSUB_AGENT, _PUBLISHER, "topic", "events-dead-letter", "publish dead letters"),
    Grant(PUBSUB_AGENT, "roles/pubsub.subscriber", "subscription", "events-ingest", "acknowledge dead letters"),
)


def load_grants(bucket: str) -> tuple[Grant, ...]:
    """Return the grants of the function `load`, which reads the objects of a bucket."""
    return (
        Grant(LOAD.name, _USER, "table", "events", "store valid events"),
        Grant(LOAD.name, _USER, "table", "rejected", "store rejected events"),
        Grant(LOAD.name, _USER, "table", "state", "store the progress of loads and the marks of late days"),
        Grant(LOAD.name, _PUBLISHER, "topic", "loads", "request each range of a large object separately"),
        Grant(LOAD.name, "roles/storage.objectViewer", "bucket", bucket, "read objects"),
        Grant(PUSH.name, "roles/run.invoker", "service", "load", "call the function", function="load"),
        Grant(STORAGE_AGENT, _PUBLISHER, "topic", "loads", "announce objects"),
        Grant(PUBSUB_AGENT, _PUBLISHER, "topic", "loads-dead-letter", "publish dead letters"),
        Grant(PUBSUB_AGENT, "roles/pubsub.subscriber", "subscription", "loads-run", "acknowledge dead letters"),
    )


def dataflow_grants(aggregate: str, workers: str) -> tuple[Grant, ...]:
    """Return the grants by which the function `aggregate` launches Dataflow jobs.

    Args:
        aggregate: name or address of the function's account.
        workers: address of the account of the jobs' workers.
    """
    return (
        Grant(aggregate, "roles/dataflow.developer", "project", "", "launch jobs for large days"),
        Grant(aggregate, "roles/iam.serviceAccountUser", "account", workers, "launch jobs with this account"),
    )


def address(account: str, project: str) -> str:
    """Return the address of an account given by its name in the project, or by its address."""
    return account if "@" in account else f"{account}@{project}.iam.gserviceaccount.com"


def configured_accounts(
    replacements: Mapping[str, str], name: str = DEFAULT_NAME, accounts: Sequence[Account] = ACCOUNTS
) -> tuple[Account, ...]:
    """Return the accounts that a deployment creates.

    Args:
        replacements: the configured account for each of our account names. One given by its address exists already.
        name: the name of the pipeline.
        accounts: our accounts.
    """
    tasks = {replacements.get(account.name, account.name): account.task for account in accounts}
    return tuple(Account(account, task, name) for account, task in tasks.items() if "@" not in account)


def configured_grants(
    replacements: Mapping[str, str], name: str = DEFAULT_NAME, grants: Sequence[Grant] = GRANTS
) -> tuple[Grant, ...]:
    """Return the grants, with our accounts replaced by the configured ones, on the resources of a pipeline."""
    return tuple(
        replace(
            grant,
            account=replacements.get(grant.account, grant.account),
            # A bucket belongs to the user, and has the name that the deployment file gives.
            resource=resource_name(name, grant.resource)
            if grant.resource and grant.kind != "bucket"
            else grant.resource,
        )
        for grant in grants
    )
