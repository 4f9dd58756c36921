"""What `sluice destroy` does by gcloud, as steps: all that `sluice deploy` made, in reverse.

What `sluice provision` made is removed by infra/removing.py, as it was made: through the APIs.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.deploying import TOPICS, Target, find_account, find_policy, metrics, policies
from infra.gcloud import Ask, Do, Step, gcloud
from infra.identities import ACCOUNTS, GRANTS, Grant


def steps(target: Target) -> Iterator[Step]:
    """Return all steps in order; what isn't there any more is passed over."""
    where = {"project": target.project}
    for function in TOPICS:
        why = f"the function {function}; its trigger and their subscription go with it"
        look = {"filter": f"name~/functions/{function}$", "format": "value(name)"}
        yield Ask(why, "FUNCTION", gcloud("functions", "list", v2=True, regions=target.region, **look, **where))
        delete = gcloud("functions", "delete", function, gen2=True, region=target.region, **where, quiet=True)
        yield Do(why, delete, found="FUNCTION")
    for key in policies():
        yield Ask(f"the alert {key}", "POLICY", find_policy(target, key))
        delete = gcloud("alpha", "monitoring", "policies", "delete", "${POLICY}", **where, quiet=True)
        yield Do(f"the alert {key}", delete, found="POLICY")
    for name in metrics():
        why = f"the metric {name}"
        look = {"filter": f"name={name}", "format": "value(name)"}
        yield Ask(why, "METRIC", gcloud("logging", "metrics", "list", **look, **where))
        yield Do(why, gcloud("logging", "metrics", "delete", name, **where, quiet=True), found="METRIC")
    for grant in GRANTS:
        if grant.kind == "project":
            yield from _take_back(target, grant)
    for account in ACCOUNTS:
        why = f"the account {account.name}"
        yield Ask(why, "ACCOUNT", find_account(target, account))
        delete = gcloud("iam", "service-accounts", "delete", account.email(target.project), **where, quiet=True)
        yield Do(why, delete, found="ACCOUNT")


def _take_back(target: Target, grant: Grant) -> Iterator[Step]:
    """Take a role on the project back: with the account alone, the project would keep a line about a deleted one."""
    who = grant.member(target.project)
    why = f"the role {grant.role} of {grant.account} on the project"
    look = {
        "flatten": "bindings[].members",
        "filter": f'bindings.role="{grant.role}" AND bindings.members="{who}"',
        "format": "value(bindings.role)",
    }
    yield Ask(why, "ROLE", gcloud("projects", "get-iam-policy", target.project, **look))
    words = ("projects", "remove-iam-policy-binding", target.project)
    yield Do(why, gcloud(*words, member=who, role=grant.role, condition="None"), found="ROLE")
