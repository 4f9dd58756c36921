"""What `sluice deploy` does, as steps: APIs, accounts, roles, functions, their subscriptions, alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec

from infra.deploy.config import Deployment, Function
from infra.deploy.gcloud import Ask, Command, Do, Step, gcloud, pairs
from infra.deploy.iam import ACCOUNTS, BUILD, GRANTS, PUBSUB_AGENT, TRIGGER, Account, Grant, address, given, made
from infra.provision.resources import RESOURCES, Subscription
from shared.config import Settings

ALERTS = Path(__file__).parent / "alerts"

APIS = (
    "artifactregistry",
    "bigtable",
    "bigtableadmin",
    "cloudbuild",
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudscheduler",
    "eventarc",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
)

# How the subscription has to be that Eventarc makes for a function.
SUBSCRIPTIONS = {each.function: each for each in RESOURCES.subscriptions if each.function}

# How much of a function's time-out a day may take: the rest is for finding out which, and for the answer.
_OF_TIMEOUT = 0.95


class Target(msgspec.Struct, frozen=True):
    """Where to.

    Attributes:
        region: of the functions.
        contract: the name of its file in the bundle.
        build: the folder that has the bundles.
        accounts: those that are made.
        grants: the roles of all accounts that are used.
    """

    project: str
    instance: str
    region: str
    contract: str
    build: Path
    accounts: tuple[Account, ...] = ACCOUNTS
    grants: tuple[Grant, ...] = GRANTS


def deploy_steps(target: Target, deployment: Deployment) -> Iterator[Step]:
    """Return all steps in order; done again, they change nothing but the functions' revisions."""
    yield Do("the APIs that all of it needs", gcloud("services", "enable", *apis(), project=target.project))
    yield Ask(
        "the project's number, by which Google names its own accounts",
        "NUMBER",
        gcloud("projects", "describe", target.project, format="value(projectNumber)"),
        needed=f"the project {target.project} isn't there, or not for this account",
    )
    # In a new project Pub/Sub's own account isn't there before it is asked for.
    yield Do(
        "Pub/Sub's own account, which moves dead letters",
        gcloud("beta", "services", "identity", "create", service="pubsub.googleapis.com", project=target.project),
    )
    for account in target.accounts:
        yield from _account(target, account)
    yield from roles(target, "")
    for name, function in deployment.functions.items():
        yield _deploy(target, deployment, name, function)
        yield from subscription(target, name)
        yield from roles(target, name)
    yield from _metrics(target)
    yield from _policies(target, deployment.alerts.notification_channels)


def apis() -> list[str]:
    """Return the names of the APIs."""
    return [f"{api}.googleapis.com" for api in APIS]


def roles(target: Target, function: str) -> Iterator[Step]:
    """Return the steps that give the roles on what a function has once it is deployed; "" for what is there before."""
    for grant in target.grants:
        if grant.function == function:
            whose = "Pub/Sub's service agent" if grant.account == PUBSUB_AGENT else grant.account.split("@")[0]
            yield Do(
                f"roles: {grant.role} for {whose}, to {grant.why}",
                grant.give(target.project, target.instance, target.region),
            )


def find_subscription(target: Target, function: str, *, needed: bool) -> Iterator[Ask]:
    """Return the steps that ask for the subscription that Eventarc made, into `INGEST_SUBSCRIPTION` or the like."""
    why, name = f"the subscription that Eventarc made for {function}", function.upper()
    missing = f"{function} has no Eventarc trigger; deploy it first" if needed else ""
    where = {"region": target.region, "project": target.project}
    yield Ask(
        why,
        f"{name}_TRIGGER",
        gcloud("functions", "describe", function, gen2=True, **where, format="value(eventTrigger.trigger)"),
        needed=missing,
    )
    yield Ask(
        why,
        f"{name}_SUBSCRIPTION",
        gcloud(
            *("eventarc", "triggers", "describe", f"${{{name}_TRIGGER}}"),
            location=target.region,
            project=target.project,
            format="value(transport.pubsub.subscription)",
        ),
        needed=missing,
    )


def subscription(target: Target, function: str) -> Iterator[Step]:
    """Return the steps that put right what Eventarc's own subscription has otherwise: see docs/deploy.md."""
    yield from find_subscription(target, function, needed=True)
    yield Do(
        f"what the subscription of {function} has to be: Eventarc makes it with a short deadline and a day's retention",
        gcloud(
            *("pubsub", "subscriptions", "update", f"${{{function.upper()}_SUBSCRIPTION}}"),
            project=target.project,
            **properties(target, SUBSCRIPTIONS[function]),
        ),
    )


def properties(target: Target, wanted: Subscription) -> dict[str, str | int | bool]:
    """Return a declared subscription in the words of `gcloud pubsub subscriptions update`."""
    flags: dict[str, str | int | bool] = {
        "ack_deadline": int(wanted.ack_deadline.total_seconds()),
        "message_retention_duration": _seconds(wanted.retention),
        "min_retry_delay": _seconds(wanted.minimum_backoff),
        "max_retry_delay": _seconds(wanted.maximum_backoff),
        "expiration_period": _seconds(wanted.expires_after) if wanted.expires_after else "never",
    }
    if wanted.dead_letter:
        flags["dead_letter_topic"] = f"projects/{target.project}/topics/{wanted.dead_letter}"
        flags["max_delivery_attempts"] = wanted.attempts
    return flags


def _seconds(duration: timedelta) -> str:
    return f"{int(duration.total_seconds())}s"


def _account(target: Target, account: Account) -> Iterator[Step]:
    why = f"accounts: {account.name} {account.does}"
    yield Ask(why, "ACCOUNT", find_account(target, account))
    yield Do(why, account.create(target.project), missing="ACCOUNT")


def find_account(target: Target, account: Account) -> Command:
    """Return the command that looks whether an account is there."""
    look = {"filter": f"email={account.email(target.project)}", "format": "value(email)", "project": target.project}
    return gcloud("iam", "service-accounts", "list", **look)


def _deploy(target: Target, deployment: Deployment, name: str, function: Function) -> Do:
    environment = {
        "GCP_PROJECT_ID": target.project,
        "BIGTABLE_INSTANCE": target.instance,
        "SLUICE_CONTRACT": f"shared/contracts/{target.contract}",
        **({"SLUICE_DAY_DEADLINE": f"{function.timeout * _OF_TIMEOUT:.4g}"} if name == "aggregate" else {}),
        **function.environment,
    }
    trigger, build = (address(deployment.accounts[each.name], target.project) for each in (TRIGGER, BUILD))
    return Do(
        f"the function {name}",
        gcloud(
            *("functions", "deploy", name),
            gen2=True,
            project=target.project,
            region=target.region,
            runtime=deployment.all.runtime,
            source=str(target.build / name),
            entry_point=name,
            trigger_topic=function.trigger_topic,
            trigger_location=target.region,  # where it is looked for afterwards
            retry=function.retry,
            cpu=function.cpu,
            memory=function.memory,
            concurrency=function.concurrency,
            min_instances=function.min_instances,
            max_instances=function.max_instances,
            timeout=f"{function.timeout}s",
            service_account=address(function.service_account, target.project),
            trigger_service_account=trigger,
            build_service_account=f"projects/{target.project}/serviceAccounts/{build}",
            set_env_vars=pairs(environment),
            ingress_settings=function.ingress_settings,
            allow_unauthenticated=False,
            quiet=True,
        ),
    )


def metrics() -> dict[str, Path]:
    """Return the files of the metrics that are made of log lines, by their names."""
    return {path.stem: path for path in sorted((ALERTS / "metrics").glob("*.json"))}


def policies() -> dict[str, Path]:
    """Return the files of the alerting policies, by the value of the label `sluice` that they are found by."""
    return {path.stem: path for path in sorted(ALERTS.glob("*.json"))}


def _metrics(target: Target) -> Iterator[Step]:
    for name, path in metrics().items():
        why = f"metrics: {name}, of log lines"
        look = {"filter": f"name={name}", "format": "value(name)", "project": target.project}
        yield Ask(why, "METRIC", gcloud("logging", "metrics", "list", **look))
        for verb, when in (("update", {"found": "METRIC"}), ("create", {"missing": "METRIC"})):
            command = gcloud("logging", "metrics", verb, name, config_from_file=str(path), project=target.project)
            yield Do(why, command, **when)


def _policies(target: Target, channels: list[str]) -> Iterator[Step]:
    """Return the steps for the alerts. Of one that is there only the channels are set, where some are configured.

    To replace it from its file would undo what somebody has tuned by hand.
    """
    told, listed = bool(channels), ",".join(channels)
    for key, path in policies().items():
        why = f"alerts: {key}"
        yield Ask(why, "POLICY", find_policy(target, key))
        if told:
            update = ("alpha", "monitoring", "policies", "update", "${POLICY}")
            yield Do(why, gcloud(*update, set_notification_channels=listed, project=target.project), found="POLICY")
        create = gcloud(
            *("alpha", "monitoring", "policies", "create"),
            policy_from_file=str(path),
            **({"notification_channels": listed} if told else {}),
            project=target.project,
        )
        yield Do(why, create, missing="POLICY")


def find_policy(target: Target, key: str) -> Command:
    """Return the command that finds an alerting policy of ours, by its label: one may rename it."""
    look = {"filter": f"userLabels.sluice={key}", "format": "value(name)", "project": target.project}
    return gcloud("alpha", "monitoring", "policies", "list", **look)


BUILD_FOLDER = Path("build")


def target(settings: Settings, deployment: Deployment) -> Target:
    """Return where to deploy to, and with which accounts."""
    return Target(
        project=settings.project_id,
        instance=settings.instance_id,
        region=settings.region,
        contract=settings.contract.name,
        build=BUILD_FOLDER,
        accounts=made(deployment.accounts),
        grants=given(deployment.accounts),
    )
