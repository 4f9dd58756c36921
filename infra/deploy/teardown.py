"""What `sluice destroy` does by gcloud, as steps: all that `sluice deploy` made, in reverse.

`infra.provision.teardown` removes what `sluice provision` made, through the APIs. No step fails in a project in which
nothing was ever deployed: a step asks gcloud about an API only where the API is enabled.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.deploy.gcloud import Ask, Do, Step, gcloud
from infra.deploy.iam import PUBSUB_AGENT
from infra.deploy.steps import SUBSCRIPTIONS, Target, find_account, find_policy, metrics, policies

_STAY = ("project", "table", "topic")


def teardown_steps(target: Target) -> Iterator[Step]:
    """Return all steps in order; what isn't there any more is passed over."""
    where = {"project": target.project}
    yield _enabled(target, "cloudfunctions")
    for function in SUBSCRIPTIONS:
        why = f"the function {function}; its trigger and their subscription go with it"
        look = {"filter": f"name~/functions/{function}$", "format": "value(name)"}
        listing = gcloud("functions", "list", v2=True, regions=target.region, **look, **where)
        yield Ask(why, "FUNCTION", listing, found="CLOUDFUNCTIONS")
        delete = gcloud("functions", "delete", function, gen2=True, region=target.region, **where, quiet=True)
        yield Do(why, delete, found="FUNCTION")
    yield _enabled(target, "monitoring")
    for key in policies():
        yield Ask(f"the alert {key}", "POLICY", find_policy(target, key), found="MONITORING")
        delete = gcloud("alpha", "monitoring", "policies", "delete", "${POLICY}", **where, quiet=True)
        yield Do(f"the alert {key}", delete, found="POLICY")
    yield _enabled(target, "logging")
    for name in metrics():
        why = f"the metric {name}"
        look = {"filter": f"name={name}", "format": "value(name)"}
        yield Ask(why, "METRIC", gcloud("logging", "metrics", "list", **look, **where), found="LOGGING")
        yield Do(why, gcloud("logging", "metrics", "delete", name, **where, quiet=True), found="METRIC")
    yield _enabled(target, "iam")
    for account in target.accounts:
        yield Ask(f"the roles of {account.name}", "ACCOUNT", find_account(target, account), found="IAM")
        yield from _take_back(target, account.name, "ACCOUNT")
        delete = gcloud("iam", "service-accounts", "delete", account.email(target.project), **where, quiet=True)
        yield Do(f"the account {account.name}", delete, found="ACCOUNT")
    ours = {PUBSUB_AGENT, *(account.name for account in target.accounts)}
    for other in dict.fromkeys(grant.account for grant in target.grants if grant.account not in ours):
        yield from _take_back(target, other, "")


def _enabled(target: Target, api: str) -> Ask:
    """Return the step that asks whether an API is enabled, into its name in capitals: `IAM`."""
    look = {"filter": f"config.name={api}.googleapis.com", "format": "value(config.name)"}
    listing = gcloud("services", "list", enabled=True, **look, project=target.project)
    return Ask(f"whether {api}.googleapis.com is enabled; without it, there is nothing of it", api.upper(), listing)


def _take_back(target: Target, account: str, found: str) -> Iterator[Step]:
    """Take the roles of an account back: tables that stay, and the project, would keep lines about a deleted one.

    What is on a service or a subscription goes with its function.
    """
    grants = [grant for grant in target.grants if grant.account == account and grant.kind in _STAY]
    place, where = (
        (target.project, target.instance, target.region),
        {"format": "value(name)", "project": target.project},
    )
    if any(grant.kind == "table" for grant in grants):
        instances = gcloud("bigtable", "instances", "list", filter=f"name~/instances/{target.instance}$", **where)
        yield Ask(f"the roles of {account}", "INSTANCE", instances, found=found)
    for grant in grants:
        why, there = f"the role {grant.role} of {account} on {f'{grant.kind} {grant.resource}'.strip()}", found
        look = {"filter": f"name~/{grant.kind}s/{grant.resource}$", **where}
        if grant.kind == "table":
            there = "TABLE"
            listing = gcloud("bigtable", "tables", "list", instances=target.instance, **look)
            yield Ask(why, there, listing, found="INSTANCE")
        elif grant.kind == "topic":
            there = "TOPIC"
            yield Ask(why, there, gcloud("pubsub", "topics", "list", **look), found=found)
        policy = grant.policy(
            *place,
            flatten="bindings[].members",
            filter=f'bindings.role="{grant.role}" AND bindings.members="{grant.member(target.project)}"',
            format="value(bindings.role)",
        )
        yield Ask(why, "ROLE", policy, found=there)
        yield Do(why, grant.take_back(*place), found="ROLE")
