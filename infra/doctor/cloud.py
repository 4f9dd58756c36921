"""Check a project on Google Cloud with gcloud; each problem comes with the command that fixes it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from infra.deploy import alerts
from infra.deploy.gcloud import Command, gcloud
from infra.deploy.iam import Grant
from infra.deploy.notification import find_notification
from infra.deploy.steps import APIS, Target
from infra.deploy.watch_steps import find_policy
from infra.doctor.local import CheckResult
from shared.errors import MissingProgramError, SluiceError

Query = Callable[[Sequence[str]], str]

_MAX_PARALLEL = 4  # each gcloud process takes a second of CPU to start
_LOGIN = "gcloud auth login && gcloud auth application-default login"


def examine(
    target: Target, query: Query, *, clients: Callable[[], Iterable[CheckResult]] = tuple
) -> Iterator[CheckResult]:
    """Check everything that the functions need in a project.

    Args:
        target: the project, its instance and region.
        query: runs a read-only gcloud command and returns its output; raises SluiceError if it fails.
        clients: runs the checks of `infra.doctor.drift`, which use Google's clients and separate credentials.
    """
    try:
        account = query(gcloud("auth", "list", filter="status:ACTIVE", format="value(account)"))
    except MissingProgramError as error:
        yield CheckResult("gcloud", ok=False, text=str(error))
        return
    except SluiceError as error:
        yield CheckResult("credentials", ok=False, text=f"{error}; `{_LOGIN}`")
        return
    if not account:
        yield CheckResult("credentials", ok=False, text=f"gcloud has no active account; `{_LOGIN}`")
        return
    yield CheckResult("credentials", ok=True, text=account)
    describe = gcloud("projects", "describe", target.project, format="value(projectNumber)")
    number = _check_output(query, "project", describe, "gcloud projects list")
    yield number
    if not number.ok:
        return
    checks: list[Callable[[], Iterable[CheckResult]]] = [
        lambda: _check_apis(target, query),
        lambda: [_check_instance(target, query)],
        lambda: _check_accounts(target, query),
        lambda: _check_alerts(target, query),
        *(lambda each=each: _check_grants(target, query, number.text, each) for each in _grants_by_resource(target)),
        *(lambda name=name: [_check_function(target, query, name)] for name in map(target.resource, target.functions)),
        lambda: [_check_notification(target, query)] if target.bucket else [],
        clients,
    ]
    with ThreadPoolExecutor(_MAX_PARALLEL) as pool:
        for results in pool.map(lambda check: list(check()), checks):
            yield from results


def _check_output(query: Query, what: str, command: Command, remedy: str) -> CheckResult:
    """Return the output of a command as a result; it isn't ok if the output is empty or the command fails."""
    try:
        output = query(command)
    except SluiceError as error:
        return CheckResult(what, ok=False, text=f"{error}; `{remedy}`")
    return CheckResult(what, ok=bool(output), text=output or f"found none; `{remedy}`")


def _check_list(query: Query, what: str, command: Command, remedies: dict[str, Command | str]) -> Iterator[CheckResult]:
    """Check that a command lists all expected names, one per line.

    Args:
        query: runs a read-only gcloud command.
        what: the name of the check.
        command: the command that lists the names.
        remedies: the expected names, each with the command that creates it.
    """
    try:
        existing = {line.rsplit("/", 1)[-1].strip() for line in query(command).splitlines()}
    except SluiceError as error:
        yield CheckResult(what, ok=False, text=str(error))
        return
    missing = [name for name in remedies if name not in existing]
    for name in missing:
        yield CheckResult(what, ok=False, text=f"{name} is missing; `{_format_command(remedies[name])}`")
    if not missing:
        yield CheckResult(what, ok=True, text=f"{len(remedies)} of {len(remedies)}")


def _check_apis(target: Target, query: Query) -> Iterator[CheckResult]:
    enabled = gcloud("services", "list", enabled=True, project=target.project, format="value(config.name)")
    names = [f"{api}.googleapis.com" for api in APIS]
    remedies: dict[str, Command | str] = {
        name: gcloud("services", "enable", name, project=target.project) for name in names
    }
    yield from _check_list(query, "APIs", enabled, remedies)


def _check_instance(target: Target, query: Query) -> CheckResult:
    words = ("bigtable", "instances", "describe", target.instance)
    create = gcloud(
        *("bigtable", "instances", "create", target.instance),
        display_name="Sluice",
        cluster_config=f"id={target.instance}-c1,zone={target.region}-b,nodes=1",
        project=target.project,
    )
    command = gcloud(*words, project=target.project, format="value(state)")
    return _check_output(query, f"instance {target.instance}", command, shlex.join(create))


def _check_accounts(target: Target, query: Query) -> Iterator[CheckResult]:
    listing = gcloud("iam", "service-accounts", "list", project=target.project, format="value(email)")
    remedies: dict[str, Command | str] = {
        account.email(target.project): account.create_command(target.project) for account in target.accounts
    }
    yield from _check_list(query, "accounts", listing, remedies)


def _check_alerts(target: Target, query: Query) -> Iterator[CheckResult]:
    listing = gcloud("logging", "metrics", "list", project=target.project, format="value(name)")
    yield from _check_list(query, "metrics", listing, dict.fromkeys(alerts.metrics(target.name), "sluice deploy"))
    for key in alerts.policies(target.name, loads=bool(target.bucket)):
        result = _check_output(query, f"alert {key}", find_policy(target.name, target.project, key), "sluice deploy")
        yield CheckResult(result.what, ok=True, text="exists") if result.ok else result


def _grants_by_resource(target: Target) -> list[list[Grant]]:
    """Return the grants grouped by resource."""
    groups: dict[tuple[str, str], list[Grant]] = {}
    for grant in target.grants:
        groups.setdefault((grant.kind, grant.resource), []).append(grant)
    return list(groups.values())


def _check_grants(target: Target, query: Query, number: str, grants: list[Grant]) -> Iterator[CheckResult]:
    """Check the grants on one resource; `number` is the project number."""
    what = f"roles on {grants[0].kind} {grants[0].resource}".strip()
    scope = target.project, target.instance, target.region
    try:
        bindings = json.loads(query(grants[0].policy_command(*scope, format="json")) or "{}").get("bindings", [])
    except SluiceError as error:
        yield CheckResult(what, ok=False, text=str(error))
        return
    held = {(binding["role"], member) for binding in bindings for member in binding.get("members", ())}
    missing = [
        grant for grant in grants if (grant.role, grant.member(target.project).replace("${NUMBER}", number)) not in held
    ]
    for grant in missing:
        remedy = _format_command(_substitute(grant.grant_command(*scope), {"NUMBER": number}))
        yield CheckResult(what, ok=False, text=f"{grant.role} is missing, to {grant.purpose}; `{remedy}`")
    if not missing:
        yield CheckResult(what, ok=True, text=f"{len(grants)} of {len(grants)}")


def _check_function(target: Target, query: Query, name: str) -> CheckResult:
    where = {"region": target.region, "project": target.project}
    describe = gcloud("functions", "describe", name, gen2=True, **where, format="value(state)")
    result = _check_output(query, f"function {name}", describe, "sluice deploy")
    if result.ok and result.text != "ACTIVE":
        return CheckResult(result.what, ok=False, text=f"found {result.text}, expected ACTIVE; `sluice deploy`")
    return result


def _check_notification(target: Target, query: Query) -> CheckResult:
    what = f"notification of the bucket {target.bucket}"
    result = _check_output(query, what, find_notification(target.project, target.bucket, target.name), "sluice deploy")
    return CheckResult(what, ok=True, text="exists") if result.ok else result


def _substitute(command: Command, variables: dict[str, str]) -> Command:
    """Replace each ${NAME} in a command."""
    words = []
    for word in command:
        for name, value in variables.items():
            word = word.replace(f"${{{name}}}", value)
        words.append(word)
    return tuple(words)


def _format_command(command: Command | str) -> str:
    return command if isinstance(command, str) else shlex.join(command)
