"""The steps of `sluice deploy`: APIs, accounts, roles, functions, metrics, alerts and the addresses of pushes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from infra.deploy import alerts
from infra.deploy.config import EXPORTER, Deployment, Function
from infra.deploy.gcloud import Action, Command, Lookup, Step, gcloud, pairs
from infra.deploy.iam import (
    ACCOUNTS,
    AGENTS,
    BUILD,
    GRANTS,
    LOAD,
    Account,
    Grant,
    address,
    configured_accounts,
    configured_grants,
    dataflow_grants,
    load_grants,
)
from infra.deploy.notification import notification_steps
from infra.deploy.watch_steps import metric_steps, policy_steps
from infra.provision.marks import LABEL
from infra.provision.resources import FUNCTIONS
from shared.config import Settings
from shared.names import DEFAULT_NAME, resource_name

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
# The share after which the load of a range stops. The rest is for the writes in flight and for the next request.
_LOAD_DEADLINE_SHARE = 0.8


class Target(msgspec.Struct, frozen=True):
    """The destination of a deployment.

    Attributes:
        region: the region of the functions.
        contract: the file name of the contract in the bundle.
        build: the folder of the bundles.
        config: the file that overrides the defaults of the deployment, if any.
        accounts: the accounts to create.
        grants: the roles of all accounts.
        name: the name of the pipeline.
        adopt: whether to take over functions, accounts and metrics without a mark.
        functions: the declared names of the functions.
        bucket: the bucket whose objects are loaded; "" for none.
    """

    project: str
    instance: str
    region: str
    contract: str
    build: Path
    config: Path | None = None
    accounts: tuple[Account, ...] = ACCOUNTS
    grants: tuple[Grant, ...] = GRANTS
    name: str = DEFAULT_NAME
    adopt: bool = False
    functions: tuple[str, ...] = FUNCTIONS
    bucket: str = ""

    def resource(self, resource: str) -> str:
        """Return the name of a resource of the pipeline."""
        return resource_name(self.name, resource)


def target(settings: Settings, deployment: Deployment, config: Path | None = None, *, adopt: bool = False) -> Target:
    """Return the destination of a deployment, which was read from a file if `config` is given."""
    bucket = deployment.load.bucket
    accounts = (*ACCOUNTS, LOAD) if bucket else ACCOUNTS
    grants = configured_grants(
        deployment.accounts, settings.name, (*GRANTS, *load_grants(bucket)) if bucket else GRANTS
    )
    if deployment.dataflow.from_events:
        workers = address(deployment.dataflow.service_account, settings.project_id)
        grants += dataflow_grants(deployment.aggregate.service_account, workers)
    return Target(
        project=settings.project_id,
        instance=settings.instance_id,
        region=settings.region,
        contract=settings.contract.name,
        build=BUILD_FOLDER,
        config=config,
        accounts=configured_accounts(deployment.accounts, settings.name, accounts),
        grants=grants,
        name=settings.name,
        adopt=adopt,
        functions=tuple(deployment.functions),
        bucket=bucket,
    )


def deploy_steps(target: Target, deployment: Deployment) -> Iterator[Step]:
    """Return all steps in order; running them again changes only the functions' revisions."""
    apis = api_names() + (["dataflow.googleapis.com"] if deployment.dataflow.from_events else [])
    apis += ["storage.googleapis.com"] if target.bucket else []
    yield Action("the APIs of the pipeline", gcloud("services", "enable", *apis, project=target.project))
    yield Lookup(
        "the project number, part of the names of Google's service agents",
        "NUMBER",
        gcloud("projects", "describe", target.project, format="value(projectNumber)"),
        error=f"the project {target.project} doesn't exist, or this account can't see it",
    )
    yield from ownership_steps(target)
    # In a new project Pub/Sub's service agent doesn't exist until it is requested.
    yield Action(
        "Pub/Sub's service agent, which moves dead letters",
        gcloud("beta", "services", "identity", "create", service="pubsub.googleapis.com", project=target.project),
    )
    if target.bucket:
        yield Action(
            "Cloud Storage's service agent, which announces objects",
            gcloud("storage", "service-agent", project=target.project),
        )
    for account in target.accounts:
        yield from _account_steps(target, account)
    yield from role_steps(target, "")
    for name, function in deployment.functions.items():
        yield _function_step(target, deployment, name, function)
        yield from role_steps(target, name)
    if target.bucket:
        yield from notification_steps(target.project, target.bucket, target.name)
    yield from metric_steps(target.build, target.name, target.project)
    channels = deployment.alerts.notification_channels
    yield from policy_steps(target.build, target.name, target.project, channels, loads=bool(target.bucket))
    yield _push_step(target)


def api_names() -> list[str]:
    """Return the full names of the APIs."""
    return [f"{api}.googleapis.com" for api in APIS]


def role_steps(target: Target, function: str) -> Iterator[Step]:
    """Return the steps that grant the roles on resources of a deployed function; "" for all other resources."""
    for grant in target.grants:
        if grant.function == function:
            owner = AGENTS.get(grant.account) or grant.account.split("@")[0]
            yield Action(
                f"roles: {grant.role} for {owner}, to {grant.purpose}",
                grant.grant_command(target.project, target.instance, target.region),
            )


def ownership_steps(target: Target, *, functions: str = "", metrics: str = "", accounts: str = "") -> Iterator[Lookup]:
    """Return the steps that refuse functions, metrics and accounts without the mark of the pipeline.

    Args:
        target: the destination. With `adopt`, only resources with the mark of another pipeline are refused.
        functions: the variable that says whether the API of functions is enabled; "" if it is.
        metrics: likewise for metrics.
        accounts: likewise for accounts.
    """
    where = {"project": target.project}
    names = "|".join(map(target.resource, target.functions))
    marked = f" AND labels.{LABEL}:*" if target.adopt else ""
    selected = f'name~"/functions/({names})$"'
    unowned = {"filter": f"{selected} AND NOT labels.{LABEL}={target.name}{marked}"}
    listing = gcloud("functions", "list", v2=True, regions=target.region, **unowned, format="value(name)", **where)
    yield _ownership_step(target, "functions", listing, functions)
    names = ",".join(alerts.metrics(target.name))
    listing = gcloud("logging", "metrics", "list", **_without_phrase(target, f"name=({names})", "description"), **where)
    yield _ownership_step(target, "metrics", listing, metrics)
    if emails := ",".join(account.email(target.project) for account in target.accounts):
        selection = _without_phrase(target, f"email=({emails})", "displayName")
        listing = gcloud("iam", "service-accounts", "list", **selection, **where)
        yield _ownership_step(target, "accounts", listing, accounts)


def _without_phrase(target: Target, selected: str, key: str) -> dict[str, str]:
    """Return the flags that list the selected resources whose text lacks the pipeline's mark."""
    own = f'{key}~"[(]{LABEL}={target.name}[)]"'
    marked = f' AND {key}~"[(]{LABEL}="' if target.adopt else ""
    return {"filter": f"{selected} AND NOT {own}{marked}", "format": f"value({selected.split('=')[0]})"}


def _ownership_step(target: Target, kind: str, listing: Command, condition: str) -> Lookup:
    expected = f"expected {kind} with the mark {LABEL}={target.name}; "
    refusal = "they belong to another pipeline" if target.adopt else "`sluice deploy --adopt` takes over unmarked ones"
    return Lookup(
        f"whether the {kind} are the pipeline's", "UNOWNED", listing, if_set=condition, refusal=expected + refusal
    )


def find_account(target: Target, account: Account) -> Command:
    """Return the command that looks up an account."""
    selection = {"filter": f"email={account.email(target.project)}", "format": "value(email)"}
    return gcloud("iam", "service-accounts", "list", **selection, project=target.project)


def _account_steps(target: Target, account: Account) -> Iterator[Step]:
    title = f"accounts: {account.name} {account.task}"
    yield Lookup(title, "ACCOUNT", find_account(target, account))
    yield Action(title, account.create_command(target.project), if_empty="ACCOUNT")
    if target.adopt:
        yield Action(title, account.adopt_command(target.project), if_set="ACCOUNT")


def _function_step(target: Target, deployment: Deployment, name: str, function: Function) -> Action:
    environment = {
        "GCP_PROJECT_ID": target.project,
        "BIGTABLE_INSTANCE": target.instance,
        "SLUICE_CONTRACT": f"shared/contracts/{target.contract}",
        **({"SLUICE_NAME": target.name} if target.name != DEFAULT_NAME else {}),
        **({EXPORTER: "otlp"} if name == "ingest" and deployment.metrics.otlp else {}),
    }
    if name == "aggregate":
        environment["SLUICE_CPU"] = function.cpu
        environment["SLUICE_DAY_DEADLINE"] = f"{function.timeout * _DAY_DEADLINE_SHARE:.4g}"
        if deployment.dataflow.from_events:
            environment["GCP_REGION"] = target.region
            environment |= deployment.dataflow.variables(target.project)
    if name == "load":
        environment["SLUICE_LOAD_DEADLINE"] = f"{function.timeout * _LOAD_DEADLINE_SHARE:.4g}"
    environment |= function.environment
    build = address(deployment.accounts[BUILD.name], target.project)
    platform = deployment.platform(name)
    labels = {"update_labels": pairs({**platform.labels, LABEL: target.name})}
    return Action(
        f"the function {target.resource(name)}",
        gcloud(
            *("functions", "deploy", target.resource(name)),
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
            **(platform.flags(target.region) | labels),
            quiet=True,
        ),
    )


def _push_step(target: Target) -> Action:
    """Return the step that sets the addresses of the functions in their subscriptions."""
    command = ["sluice", "provision", f"--name={target.name}", f"--project-id={target.project}"]
    command += [f"--instance-id={target.instance}", f"--region={target.region}"]
    command += [f"--config={target.config}"] if target.config else []
    return Action("the subscriptions push to the functions", tuple(command))
