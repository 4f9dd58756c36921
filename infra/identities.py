"""Who may do what: the service accounts, and each role on the one resource that needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from infra.gcloud import Command, gcloud

Kind = Literal["project", "table", "topic", "subscription", "service"]

# Google's own account of Pub/Sub in a project; ${NUMBER} is the project's number.
PUBSUB_AGENT = "service-${NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"


@dataclass(frozen=True, slots=True)
class Account:
    """A service account of ours; nobody has a key of it."""

    name: str
    does: str

    def email(self, project: str) -> str:
        """Return the name that Google Cloud knows it by."""
        return f"{self.name}@{project}.iam.gserviceaccount.com"

    def create(self, project: str) -> Command:
        """Return the command that makes it."""
        words = ("iam", "service-accounts", "create", self.name)
        return gcloud(*words, display_name=f"Sluice: {self.does}", project=project)


@dataclass(frozen=True, slots=True)
class Grant:
    """One role of one account.

    Attributes:
        account: one of ours by its name, or Google's by its address.
        resource: its name; empty for the project.
        function: the one that has to be deployed before the resource is there; empty if none.
    """

    account: str
    role: str
    kind: Kind
    resource: str
    why: str
    function: str = ""

    def member(self, project: str) -> str:
        """Return whom the role is given to, in the words of IAM."""
        return f"serviceAccount:{self.account if '@' in self.account else Account(self.account, '').email(project)}"

    def command(self, project: str, instance: str, region: str) -> Command:
        """Return the command that gives the role; to give it again changes nothing."""
        who = {"member": self.member(project), "role": self.role}
        match self.kind:
            case "project":
                return gcloud("projects", "add-iam-policy-binding", project, **who, condition="None")
            case "table":
                words = ("bigtable", "tables", "add-iam-policy-binding", self.resource)
                return gcloud(*words, **who, instance=instance, project=project)
            case "service":
                words = ("run", "services", "add-iam-policy-binding", self.resource)
                return gcloud(*words, **who, region=region, project=project)
            case _:
                return gcloud(
                    "pubsub", f"{self.kind}s", "add-iam-policy-binding", self.resource, **who, project=project
                )


INGEST, AGGREGATE = Account("sluice-ingest", "runs ingest"), Account("sluice-aggregate", "runs aggregate")
TRIGGER = Account("sluice-trigger", "calls both functions, for Eventarc")
BUILD = Account("sluice-build", "builds the functions' images")
ACCOUNTS = (INGEST, AGGREGATE, TRIGGER, BUILD)

_USER, _READER = "roles/bigtable.user", "roles/bigtable.reader"
_PUBLISHER = "roles/pubsub.publisher"

GRANTS = (
    Grant(INGEST.name, _USER, "table", "events", "store good events"),
    Grant(INGEST.name, _USER, "table", "rejected", "keep bad ones"),
    Grant(INGEST.name, _USER, "table", "state", "hold the contract's fingerprint, mark days of late events"),
    Grant(AGGREGATE.name, _READER, "table", "events", "read a day"),
    Grant(AGGREGATE.name, _READER, "table", "rejected", "count what was rejected of a day"),
    Grant(AGGREGATE.name, _USER, "table", "aggregates", "write the figures of a day"),
    Grant(AGGREGATE.name, _USER, "table", "state", "say which run counts, take marks away"),
    Grant(AGGREGATE.name, _PUBLISHER, "topic", "aggregate-requests", "ask for each of several days by itself"),
    Grant(TRIGGER.name, "roles/run.invoker", "service", "ingest", "call it", function="ingest"),
    Grant(TRIGGER.name, "roles/run.invoker", "service", "aggregate", "call it", function="aggregate"),
    Grant(TRIGGER.name, "roles/eventarc.eventReceiver", "project", "", "receive events"),
    # What a build needs, https://cloud.google.com/functions/docs/securing/build-custom-sa
    Grant(BUILD.name, "roles/logging.logWriter", "project", "", "write the log of a build"),
    Grant(BUILD.name, "roles/artifactregistry.writer", "project", "", "store the image"),
    Grant(BUILD.name, "roles/storage.objectViewer", "project", "", "read the source that was uploaded"),
    Grant(PUBSUB_AGENT, _PUBLISHER, "topic", "events-dead-letter", "put dead letters there"),
    Grant(
        PUBSUB_AGENT,
        "roles/pubsub.subscriber",
        "subscription",
        "${INGEST_SUBSCRIPTION}",
        "take dead letters out of ingest's",
        function="ingest",
    ),
)


def table() -> str:
    """Return who has which role on what, as docs/deploy.md has it."""
    lines = ["| account | role | on | in order to |", "| --- | --- | --- | --- |"]
    for grant in GRANTS:
        on = {"": "the project", "${INGEST_SUBSCRIPTION}": "the subscription of `ingest`"}.get(
            grant.resource, f"{grant.kind} `{grant.resource}`"
        )
        account = "Pub/Sub's service agent" if grant.account == PUBSUB_AGENT else f"`{grant.account}`"
        lines.append(f"| {account} | `{grant.role}` | {on} | {grant.why} |")
    return "\n".join(lines)
