"""Who may do what: the service accounts, and each role on the one resource that needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from infra.deploy.gcloud import Command, gcloud

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
        return address(self.name, project)

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
        return f"serviceAccount:{address(self.account, project)}"

    def give(self, project: str, instance: str, region: str) -> Command:
        """Return the command that gives the role; to give it again changes nothing."""
        return self._command("add-iam-policy-binding", project, instance, region, **self._binding(project))

    def take_back(self, project: str, instance: str, region: str) -> Command:
        """Return the command that takes the role back; it fails where the role isn't held."""
        return self._command("remove-iam-policy-binding", project, instance, region, **self._binding(project))

    def policy(self, project: str, instance: str, region: str, **how: str) -> Command:
        """Return the command that shows who has which role on the resource, filtered and formatted in some way."""
        return self._command("get-iam-policy", project, instance, region, **how)

    def _binding(self, project: str) -> dict[str, str]:
        condition = {"condition": "None"} if self.kind == "project" else {}  # or it would ask for one
        return {"member": self.member(project), "role": self.role, **condition}

    def _command(self, verb: str, project: str, instance: str, region: str, **flags: str) -> Command:
        match self.kind:
            case "project":
                return gcloud("projects", verb, project, **flags)
            case "table":
                return gcloud("bigtable", "tables", verb, self.resource, **flags, instance=instance, project=project)
            case "service":
                return gcloud("run", "services", verb, self.resource, **flags, region=region, project=project)
            case _:
                return gcloud("pubsub", f"{self.kind}s", verb, self.resource, **flags, project=project)


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


def address(account: str, project: str) -> str:
    """Return the address of an account, given its name in the project or the address itself."""
    return account if "@" in account else f"{account}@{project}.iam.gserviceaccount.com"


def made(instead: Mapping[str, str]) -> tuple[Account, ...]:
    """Return the accounts that deploy makes.

    Args:
        instead: which account is used, by the name of ours; one that is given by its address is there already.
    """
    names = {instead.get(account.name, account.name): account.does for account in ACCOUNTS}
    return tuple(Account(name, does) for name, does in names.items() if "@" not in name)


def given(instead: Mapping[str, str]) -> tuple[Grant, ...]:
    """Return all roles, where other accounts are used instead of ours."""
    return tuple(replace(grant, account=instead.get(grant.account, grant.account)) for grant in GRANTS)


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
