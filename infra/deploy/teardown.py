"""The gcloud steps of `sluice destroy`: everything that `sluice deploy` created, in reverse order.

`infra.provision.teardown` deletes what `sluice provision` created, through the APIs. Every step works in a project
without any deployment: it calls an API only if the API is enabled.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.deploy import alerts
from infra.deploy.gcloud import Action, Lookup, Step, gcloud
from infra.deploy.iam import AGENTS, Grant
from infra.deploy.notification import delete_notification_steps, find_bucket
from infra.deploy.steps import Target, find_account, ownership_steps
from infra.deploy.watch_steps import find_policy

# Resources that outlive the functions, so that their roles must be revoked one by one.
_REMAINING_KINDS = ("project", "table", "topic", "account", "bucket")


def teardown_steps(target: Target) -> Iterator[Step]:
    """Return all steps in order; they skip what doesn't exist."""
    where = {"project": target.project}
    for api in ("cloudfunctions", "monitoring", "logging", "iam"):
        yield _find_api(target, api)
    yield from ownership_steps(target, functions="CLOUDFUNCTIONS", metrics="LOGGING", accounts="IAM")
    if target.bucket:
        yield _find_api(target, "storage")
        yield from delete_notification_steps(target.project, target.bucket, target.name, "STORAGE")
    for function in map(target.resource, target.functions):
        title = f"the function {function}"
        selection = {"filter": f"name~/functions/{function}$", "format": "value(name)"}
        listing = gcloud("functions", "list", v2=True, regions=target.region, **selection, **where)
        yield Lookup(title, "FUNCTION", listing, if_set="CLOUDFUNCTIONS")
        delete = gcloud("functions", "delete", function, gen2=True, region=target.region, **where, quiet=True)
        yield Action(title, delete, if_set="FUNCTION")
    # Without the file of the deployment, the bucket isn't known. The topic of its dead letters is deleted all the same.
    for key in alerts.policies(target.name, loads=True):
        yield Lookup(f"the alert {key}", "POLICY", find_policy(target.name, target.project, key), if_set="MONITORING")
        delete = gcloud("alpha", "monitoring", "policies", "delete", "${POLICY}", **where, quiet=True)
        yield Action(f"the alert {key}", delete, if_set="POLICY")
    for name in alerts.metrics(target.name):
        title = f"the metric {name}"
        selection = {"filter": f"name={name}", "format": "value(name)"}
        yield Lookup(title, "METRIC", gcloud("logging", "metrics", "list", **selection, **where), if_set="LOGGING")
        yield Action(title, gcloud("logging", "metrics", "delete", name, **where, quiet=True), if_set="METRIC")
    for account in target.accounts:
        yield Lookup(f"the roles of {account.name}", "ACCOUNT", find_account(target, account), if_set="IAM")
        yield from _revoke_steps(target, account.name, "ACCOUNT")
        delete = gcloud("iam", "service-accounts", "delete", account.email(target.project), **where, quiet=True)
        yield Action(f"the account {account.name}", delete, if_set="ACCOUNT")
    ours = {*AGENTS, *(account.name for account in target.accounts)}
    for other in dict.fromkeys(grant.account for grant in target.grants if grant.account not in ours):
        yield from _revoke_steps(target, other, "")


def _find_api(target: Target, api: str) -> Lookup:
    """Return the step that looks up whether an API is enabled, into a variable such as `IAM`."""
    selection = {"filter": f"config.name={api}.googleapis.com", "format": "value(config.name)"}
    listing = gcloud("services", "list", enabled=True, **selection, project=target.project)
    return Lookup(f"whether {api}.googleapis.com is enabled; otherwise it has no resources", api.upper(), listing)


def _revoke_steps(target: Target, account: str, condition: str) -> Iterator[Step]:
    """Return the steps that revoke the roles of an account on the project, tables, topics and accounts.

    Their policies would otherwise keep bindings of a deleted account. Roles on a service end with the function, and
    roles on a subscription with the subscription.

    Args:
        target: the project.
        account: the name or address of the account.
        condition: the variable that says whether the account exists; "" if that isn't looked up.
    """
    grants = [grant for grant in target.grants if grant.account == account and grant.kind in _REMAINING_KINDS]
    scope = (target.project, target.instance, target.region)
    where = {"format": "value(name)", "project": target.project}
    if any(grant.kind == "table" for grant in grants):
        instances = gcloud("bigtable", "instances", "list", filter=f"name~/instances/{target.instance}$", **where)
        yield Lookup(f"the roles of {account}", "INSTANCE", instances, if_set=condition)
    for grant in grants:
        title = f"the role {grant.role} of {account} on {f'{grant.kind} {grant.resource}'.strip()}"
        exists = condition
        selection = {"filter": f"name~/{grant.kind}s/{grant.resource}$", **where}
        if grant.kind == "table":
            exists = "TABLE"
            listing = gcloud("bigtable", "tables", "list", instances=target.instance, **selection)
            yield Lookup(title, exists, listing, if_set="INSTANCE")
        elif grant.kind == "account":
            exists = "WORKERS"
            selection = {"filter": f"email={grant.resource}", "format": "value(email)", "project": target.project}
            yield Lookup(title, exists, gcloud("iam", "service-accounts", "list", **selection), if_set=condition)
        elif grant.kind == "topic":
            exists = "TOPIC"
            yield Lookup(title, exists, gcloud("pubsub", "topics", "list", **selection), if_set=condition)
        elif grant.kind == "bucket":
            exists = "BUCKET"
            yield Lookup(title, exists, find_bucket(target.project, target.bucket), if_set=condition)
        binding = _selected_binding(grant, grant.member(target.project))
        policy = grant.policy_command(*scope, flatten="bindings[].members", **binding)
        yield Lookup(title, "ROLE", policy, if_set=exists)
        yield Action(title, grant.revoke_command(*scope), if_set="ROLE")


def _selected_binding(grant: Grant, member: str) -> dict[str, str]:
    """Return the flags that print one binding of a policy, and nothing if the policy lacks it."""
    if grant.kind == "bucket":  # the only command for policies without --filter
        others = f'"^(?!{grant.role} {member}$).*$"'
        return {"format": f'value(format("{{0}} {{1}}",bindings.role,bindings.members).sub({others},""))'}
    return {"filter": f'bindings.role="{grant.role}" AND bindings.members="{member}"', "format": "value(bindings.role)"}
