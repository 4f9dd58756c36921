"""Find out what is missing in a project on Google Cloud, each finding with the command that mends it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from infra.deploy.gcloud import Command, gcloud
from infra.deploy.iam import Grant
from infra.deploy.steps import APIS, SUBSCRIPTIONS, Target, find_policy, find_subscription, metrics, policies
from infra.doctor.local import CheckResult
from shared.errors import MissingProgramError, SluiceError

Look = Callable[[Sequence[str]], str]

_SIDE_BY_SIDE = 4  # each gcloud is a process that takes a second of CPU to start
_LOGIN = "gcloud auth login && gcloud auth application-default login"


def examine(
    target: Target, look: Look, *, clients: Callable[[], Iterable[CheckResult]] = tuple
) -> Iterator[CheckResult]:
    """Look at everything that the functions need in a project.

    Args:
        target: the project, its instance and region.
        look: runs a command of gcloud that only looks; returns what it wrote, SluiceError if it failed.
        clients: looks at what Google's clients see, which have credentials of their own: infra/differences.py.
    """
    try:
        account = look(gcloud("auth", "list", filter="status:ACTIVE", format="value(account)"))
    except MissingProgramError as error:
        yield CheckResult("gcloud", ok=False, text=str(error))
        return
    except SluiceError as error:
        yield CheckResult("credentials", ok=False, text=f"{error}; `{_LOGIN}`")
        return
    if not account:
        yield CheckResult("credentials", ok=False, text=f"gcloud knows nobody; `{_LOGIN}`")
        return
    yield CheckResult("credentials", ok=True, text=account)
    describe = gcloud("projects", "describe", target.project, format="value(projectNumber)")
    number = _asked(look, "project", describe, "gcloud projects list")
    yield number
    if not number.ok:
        return
    checks: list[Callable[[], Iterable[CheckResult]]] = [
        lambda: _apis(target, look),
        lambda: [_instance(target, look)],
        lambda: _accounts(target, look),
        lambda: _alerts(target, look),
        *(lambda each=each: _grants(target, look, number.text, each) for each in _by_resource(target)),
        *(lambda name=name: _function(target, look, number.text, name) for name in SUBSCRIPTIONS),
        clients,
    ]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for found in pool.map(lambda check: list(check()), checks):
            yield from found


def _asked(look: Look, what: str, command: Command, mend: str) -> CheckResult:
    """Return what a command wrote; it is bad if it wrote nothing or failed."""
    try:
        wrote = look(command)
    except SluiceError as error:
        return CheckResult(what, ok=False, text=f"{error}; `{mend}`")
    return CheckResult(what, ok=bool(wrote), text=wrote or f"found none; `{mend}`")


def _listed(look: Look, what: str, command: Command, wanted: dict[str, Command | str]) -> Iterator[CheckResult]:
    """Look whether all that is wanted is in a list, a name a line; with the command for what is missing."""
    try:
        there = {line.rsplit("/", 1)[-1].strip() for line in look(command).splitlines()}
    except SluiceError as error:
        yield CheckResult(what, ok=False, text=str(error))
        return
    missing = [name for name in wanted if name not in there]
    for name in missing:
        yield CheckResult(what, ok=False, text=f"{name} is missing; `{_shown(wanted[name])}`")
    if not missing:
        yield CheckResult(what, ok=True, text=f"{len(wanted)} of {len(wanted)}")


def _apis(target: Target, look: Look) -> Iterator[CheckResult]:
    enabled = gcloud("services", "list", enabled=True, project=target.project, format="value(config.name)")
    names = [f"{api}.googleapis.com" for api in APIS]
    wanted: dict[str, Command | str] = {
        name: gcloud("services", "enable", name, project=target.project) for name in names
    }
    yield from _listed(look, "APIs", enabled, wanted)


def _instance(target: Target, look: Look) -> CheckResult:
    words = ("bigtable", "instances", "describe", target.instance)
    create = gcloud(
        *("bigtable", "instances", "create", target.instance),
        display_name="Sluice",
        cluster_config=f"id={target.instance}-c1,zone={target.region}-b,nodes=1",
        project=target.project,
    )
    command = gcloud(*words, project=target.project, format="value(state)")
    return _asked(look, f"instance {target.instance}", command, shlex.join(create))


def _accounts(target: Target, look: Look) -> Iterator[CheckResult]:
    listing = gcloud("iam", "service-accounts", "list", project=target.project, format="value(email)")
    wanted: dict[str, Command | str] = {
        account.email(target.project): account.create(target.project) for account in target.accounts
    }
    yield from _listed(look, "accounts", listing, wanted)


def _alerts(target: Target, look: Look) -> Iterator[CheckResult]:
    listing = gcloud("logging", "metrics", "list", project=target.project, format="value(name)")
    yield from _listed(look, "metrics", listing, dict.fromkeys(metrics(), "sluice deploy"))
    for key in policies():
        yield _briefly(_asked(look, f"alert {key}", find_policy(target, key), "sluice deploy"))


def _briefly(finding: CheckResult) -> CheckResult:
    """Return a finding of something that is there, without its long name."""
    return CheckResult(finding.what, ok=True, text="is there") if finding.ok else finding


def _by_resource(target: Target) -> list[list[Grant]]:
    """Return the roles, those on one resource together; the subscription's come with its function."""
    places: dict[tuple[str, str], list[Grant]] = {}
    for grant in target.grants:
        if grant.kind != "subscription":
            places.setdefault((grant.kind, grant.resource), []).append(grant)
    return list(places.values())


def _grants(target: Target, look: Look, number: str, grants: list[Grant]) -> Iterator[CheckResult]:
    what = f"roles on {grants[0].kind} {grants[0].resource}".strip()
    where = target.project, target.instance, target.region
    try:
        bindings = json.loads(look(grants[0].policy(*where, format="json")) or "{}").get("bindings", [])
    except SluiceError as error:
        yield CheckResult(what, ok=False, text=str(error))
        return
    held = {(binding["role"], member) for binding in bindings for member in binding.get("members", ())}
    missing = [
        grant for grant in grants if (grant.role, grant.member(target.project).replace("${NUMBER}", number)) not in held
    ]
    for grant in missing:
        command = grant.give(*where)
        mend = _shown(tuple(word.replace("${NUMBER}", number) for word in command))
        yield CheckResult(what, ok=False, text=f"{grant.role} is missing, to {grant.why}; `{mend}`")
    if not missing:
        yield CheckResult(what, ok=True, text=f"{len(grants)} of {len(grants)}")


def _function(target: Target, look: Look, number: str, name: str) -> Iterator[CheckResult]:
    """Look at a function, and at the subscription that Eventarc made for it."""
    where = {"region": target.region, "project": target.project}
    describe = gcloud("functions", "describe", name, gen2=True, **where, format="value(state)")
    state = _asked(look, f"function {name}", describe, "sluice deploy")
    if state.text != "ACTIVE":
        text = f"found {state.text}, expected ACTIVE; `sluice deploy`" if state.ok else state.text
        yield CheckResult(state.what, ok=False, text=text)
        return
    yield state
    known: dict[str, str] = {"NUMBER": number}
    what = f"subscription of {name}"
    try:
        for step in find_subscription(target, name, needed=False):
            known[step.into] = look(_filled(step.command, known))
    except SluiceError as error:
        yield CheckResult(what, ok=False, text=f"{error}; `sluice deploy`")
        return
    found = known[f"{name.upper()}_SUBSCRIPTION"].rsplit("/", 1)[-1]
    yield CheckResult(what, ok=bool(found), text=found or "found none; `sluice deploy`")
    for grant in target.grants:
        if found and grant.kind == "subscription" and grant.function == name:
            yield from _grants(target, look, number, [replace(grant, resource=found)])


def _filled(command: Command, known: dict[str, str]) -> Command:
    words = []
    for word in command:
        for name, value in known.items():
            word = word.replace(f"${{{name}}}", value)
        words.append(word)
    return tuple(words)


def _shown(mend: Command | str) -> str:
    return mend if isinstance(mend, str) else shlex.join(mend)
