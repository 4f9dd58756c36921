"""The steps of `sluice deploy`: APIs, accounts, roles, functions, metrics, alerts and the addresses of pushes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from infra.deploy.config import EXPORTER, Deployment, Function
from infra.deploy.gcloud import Action, Command, Lookup, Step, gcloud, pairs
from infra.deploy.iam import (
    ACCOUNTS,
    BUILD,
    GRANTS,
    PUBSUB_AGENT,
    Account,
    Grant,
    address,
    configured_accounts,
    configured_grants,
)
from shared.config import Settings

ALERTS = Path(__file__).parent / "alerts"
BUILD_FOLDER = Path("build")

APIS = (
    "artifactregistry",
    "bigtable",
    "bigtableadmin",
    "cloudbuild",
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudscheduler",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
)

# The share of a function's timeout that a day may take; the rest is for the error response and its log line.
_DAY_DEADLINE_SHARE = 0.95


class Target(msgspec.Struct, frozen=True):
    """The destination of a deployment.

    Attributes:
        region: the region of the functions.
        contract: the file name of the contract in the bundle.
        build: the folder of the bundles.
        config: the file that overrides the defaults of the deployment, if any.
        accounts: the accounts to create.
        grants: the roles of all accounts.
    """

    project: str
    instance: str
    region: str
    contract: str
    build: Path
    config: Path | None = None
    accounts: tuple[Account, ...] = ACCOUNTS
    grants: tuple[Grant, ...] = GRANTS


def target(settings: Settings, deployment: Deployment, config: Path | None = None) -> Target:
    """Return the destination of a deployment, which was read from a file if `config` is given."""
    return Target(
        project=settings.project_id,
        instance=settings.instance_id,
        region=settings.region,
        contract=settings.contract.name,
        build=BUILD_FOLDER,
        config=config,
        accounts=configured_accounts(deployment.accounts),
        grants=configured_grants(deployment.accounts),
    )


def deploy_steps(target: Target, deployment: Deployment) -> Iterator[Step]:
    """Return all steps in order; running them again changes only the functions' revisions."""
    yield Action("the APIs of the pipeline", gcloud("services", "enable", *api_names(), project=target.project))
    yield Lookup(
        "the project number, part of the names of Google's service agents",
        "NUMBER",
        gcloud("projects", "describe", target.project, format="value(projectNumber)"),
        error=f"the project {target.project} doesn't exist, or this account can't see it",
    )
    # In a new project Pub/Sub's service agent doesn't exist until it is requested.
    yield Action(
        "Pub/Sub's service agent, which moves dead letters",
        gcloud("beta", "services", "identity", "create", service="pubsub.googleapis.com", project=target.project),
    )
    for account in target.accounts:
        yield from _account_steps(target, account)
    yield from role_steps(target, "")
    for name, function in deployment.functions.items():
        yield _function_step(target, deployment, name, function)
        yield from role_steps(target, name)
    yield from _metric_steps(target)
    yield from _policy_steps(target, deployment.alerts.notification_channels)
    yield _push_step(target)


def api_names() -> list[str]:
    """Return the full names of the APIs."""
    return [f"{api}.googleapis.com" for api in APIS]


def role_steps(target: Target, function: str) -> Iterator[Step]:
    """Return the steps that grant the roles on resources of a deployed function; "" for all other resources."""
    for grant in target.grants:
        if grant.function == function:
            owner = "Pub/Sub's service agent" if grant.account == PUBSUB_AGENT else grant.account.split("@")[0]
            yield Action(
                f"roles: {grant.role} for {owner}, to {grant.purpose}",
                grant.grant_command(target.project, target.instance, target.region),
            )


def find_account(target: Target, account: Account) -> Command:
    """Return the command that looks up an account."""
    selection = {"filter": f"email={account.email(target.project)}", "format": "value(email)"}
    return gcloud("iam", "service-accounts", "list", **selection, project=target.project)


def find_policy(target: Target, key: str) -> Command:
    """Return the command that looks up an alerting policy by its label, since its name may be changed."""
    selection = {"filter": f"userLabels.sluice={key}", "format": "value(name)"}
    return gcloud("alpha", "monitoring", "policies", "list", **selection, project=target.project)


def metrics() -> dict[str, Path]:
    """Return the files of the log-based metrics by their names."""
    return {path.stem: path for path in sorted((ALERTS / "metrics").glob("*.json"))}


def policies() -> dict[str, Path]:
    """Return the files of the alerting policies by the value of their label `sluice`."""
    return {path.stem: path for path in sorted(ALERTS.glob("*.json"))}


def _account_steps(target: Target, account: Account) -> Iterator[Step]:
    title = f"accounts: {account.name} {account.task}"
    yield Lookup(title, "ACCOUNT", find_account(target, account))
    yield Action(title, account.create_command(target.project), if_empty="ACCOUNT")


def _function_step(target: Target, deployment: Deployment, name: str, function: Function) -> Action:
    environment = {
        "GCP_PROJECT_ID": target.project,
        "BIGTABLE_INSTANCE": target.instance,
        "SLUICE_CONTRACT": f"shared/contracts/{target.contract}",
        **({EXPORTER: "otlp"} if name == "ingest" and deployment.metrics.otlp else {}),
    }
    if name == "aggregate":
        environment["SLUICE_CPU"] = function.cpu
        environment["SLUICE_DAY_DEADLINE"] = f"{function.timeout * _DAY_DEADLINE_SHARE:.4g}"
    environment |= function.environment
    build = address(deployment.accounts[BUILD.name], target.project)
    return Action(
        f"the function {name}",
        gcloud(
            *("functions", "deploy", name),
            gen2=True,
            project=target.project,
            region=target.region,
            runtime=deployment.all.runtime,
            source=str(target.build / name),
            entry_point=name,
            trigger_http=True,
            cpu=function.cpu,
            memory=function.memory,
            concurrency=function.concurrency,
            min_instances=function.min_instances,
            max_instances=function.max_instances,
            timeout=f"{function.timeout}s",
            service_account=address(function.service_account, target.project),
            build_service_account=f"projects/{target.project}/serviceAccounts/{build}",
            set_env_vars=pairs(environment),
            ingress_settings=function.ingress_settings,
            allow_unauthenticated=False,
            **deployment.platform(name).flags(target.region),
            quiet=True,
        ),
    )


def _push_step(target: Target) -> Action:
    """Return the step that sets the addresses of the functions in their subscriptions."""
    command = ["sluice", "provision", f"--project-id={target.project}", f"--instance-id={target.instance}"]
    command += [f"--region={target.region}", *([f"--config={target.config}"] if target.config else [])]
    return Action("the subscriptions push to the functions", tuple(command))


def _metric_steps(target: Target) -> Iterator[Step]:
    for name, path in metrics().items():
        title = f"metrics: {name}, from log lines"
        selection = {"filter": f"name={name}", "format": "value(name)", "project": target.project}
        yield Lookup(title, "METRIC", gcloud("logging", "metrics", "list", **selection))
        for verb, condition in (("update", {"if_set": "METRIC"}), ("create", {"if_empty": "METRIC"})):
            command = gcloud("logging", "metrics", verb, name, config_from_file=str(path), project=target.project)
            yield Action(title, command, **condition)


def _policy_steps(target: Target, channels: list[str]) -> Iterator[Step]:
    """Return the steps of the alerts. An existing policy only gets the configured channels, if there are any.

    Replacing it from its file would undo manual changes.
    """
    channel_list = ",".join(channels)
    for key, path in policies().items():
        title = f"alerts: {key}"
        yield Lookup(title, "POLICY", find_policy(target, key))
        if channels:
            update = ("alpha", "monitoring", "policies", "update", "${POLICY}")
            command = gcloud(*update, set_notification_channels=channel_list, project=target.project)
            yield Action(title, command, if_set="POLICY")
        create = gcloud(
            *("alpha", "monitoring", "policies", "create"),
            policy_from_file=str(path),
            **({"notification_channels": channel_list} if channels else {}),
            project=target.project,
        )
        yield Action(title, create, if_empty="POLICY")
