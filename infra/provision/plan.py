"""Plan of changes: compares declared resources with existing ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal

from infra.provision.marks import LABEL
from infra.provision.resource_types import GcRule, Job, Subscription, Table

Kind = Literal["topic", "subscription", "table", "family", "job"]
Action = Literal["create", "change", "replace", "drop", "adopt", "refuse"]
_SIGNS: dict[Action, str] = {"create": "+", "change": "~", "replace": "±", "drop": "-", "adopt": "~", "refuse": "!"}

# Attributes that Pub/Sub can't update. https://cloud.google.com/pubsub/docs/create-subscription
FIXED = ("topic", "filter", "ordered")
# The displayed names of attributes.
_SUBSCRIPTION_LABELS = {
    "ack_deadline": "ack deadline",
    "minimum_backoff": "minimum back-off",
    "maximum_backoff": "maximum back-off",
    "expires_after": "expires after",
    "dead_letter": "dead-letter topic",
    "attempts": "delivery attempts",
    "exactly_once": "exactly-once delivery",
    "push_endpoint": "push endpoint",
    "push_account": "push account",
}
_JOB_LABELS = {field.name: field.name.replace("_", " ") for field in fields(Job) if field.name != "name"}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one resource.

    Attributes:
        action: what is done. `adopt` marks a resource that has no mark; `refuse` stands for one of another pipeline.
        kind: the kind of the resource.
        name: the name of the resource; for a family, the name of its table.
        wanted: the declared resource; None for a family or job to drop.
        text: the differences, for display.
        keys: the attributes to change; for a family, its name.
        loses: the data that the change loses for good, or "". Such a change needs `--force`.
    """

    action: Action
    kind: Kind
    name: str
    wanted: Subscription | Table | GcRule | Job | None = None
    text: str = ""
    keys: tuple[str, ...] = ()
    loses: str = ""

    @property
    def title(self) -> str:
        """The kind and name of the resource, such as `family e of table events`."""
        return f"family {self.keys[0]} of table {self.name}" if self.kind == "family" else f"{self.kind} {self.name}"

    def refusal(self, *, force: bool = False, adopt: bool = False) -> str:
        """Return why the change isn't made; "" if it is made."""
        if self.action == "refuse":
            return "refused: it belongs to another pipeline"
        if self.action == "adopt" and not adopt:
            return "refused without --adopt: it may belong to other software"
        return f"refused without --force: {self.loses}" if self.loses and not force else ""

    def line(self, *, force: bool = False, adopt: bool = False) -> str:
        """Return the line of a diff: + create, ~ change, ± recreate, - drop, ! refuse."""
        refusal = self.refusal(force=force, adopt=adopt)
        words = [f"{'!' if refusal else _SIGNS[self.action]} {self.title}"]
        words += [f": {self.text}"] if self.text else []
        words += [f"; {refusal}"] if refusal else []
        return "".join(words)


@dataclass(frozen=True, slots=True)
class ExistingJob:
    """An existing job and its state: ENABLED, PAUSED, DISABLED or UPDATE_FAILED."""

    job: Job
    state: str = "ENABLED"


def plan_owned(
    kind: Kind, name: str, changes: Sequence[Change], *, owner: str, found: str | None, adopt: bool
) -> list[Change]:
    """Return the changes of an existing resource that its mark allows.

    Args:
        kind: the kind of the resource.
        name: the name of the resource.
        changes: the changes that make the resource as declared.
        owner: the pipeline.
        found: the pipeline whose mark the resource has; None without a mark.
        adopt: whether to mark an unmarked resource, and to change it then.
    """
    if found == owner:
        return list(changes)
    if found is not None:
        return [Change("refuse", kind, name, text=f"found the mark {LABEL}={found}, expected {LABEL}={owner}")]
    marking = Change("adopt", kind, name, text=f"found no mark, expected {LABEL}={owner}")
    return [marking, *changes] if adopt else [marking]


def plan_topics(wanted: Collection[str], existing: Collection[str]) -> list[Change]:
    """Return the changes that create the missing topics."""
    return [Change("create", "topic", name) for name in wanted if name not in existing]


def plan_subscription(wanted: Subscription, existing: Subscription | None) -> list[Change]:
    """Return the changes that make a subscription as declared."""
    if existing is None:
        return [Change("create", "subscription", wanted.name, wanted, f"of topic {wanted.topic}")]
    fixed = [key for key in FIXED if getattr(wanted, key) != getattr(existing, key)]
    if fixed:
        text = _format_differences(existing, wanted, {key: key for key in fixed})
        loses = "it must be recreated, and its unacknowledged messages are lost"
        return [Change("replace", "subscription", wanted.name, wanted, text, loses=loses)]
    changes = []
    # The number of attempts has no effect without a dead-letter topic.
    labels = {key: label for key, label in _SUBSCRIPTION_LABELS.items() if key != "attempts" or wanted.dead_letter}
    keys = _differing_keys(existing, wanted, labels)
    if keys:
        text = _format_differences(existing, wanted, {key: labels[key] for key in keys})
        changes.append(Change("change", "subscription", wanted.name, wanted, text, keys))
    if wanted.retention != existing.retention:
        text = _format_differences(existing, wanted, {"retention": "retention"})
        loses = "older unacknowledged messages are lost" if wanted.retention < existing.retention else ""
        changes.append(Change("change", "subscription", wanted.name, wanted, text, ("retention",), loses))
    return changes


def plan_table(wanted: Table, existing: Mapping[str, GcRule] | None) -> list[Change]:
    """Return the changes that make a table as declared.

    Args:
        wanted: the declared table.
        existing: its families and their GC rules; None if there is no such table.
    """
    if existing is None:
        return [Change("create", "table", wanted.name, wanted, _format_table(wanted))]
    changes = []
    for family, rule in wanted.families.items():
        if family not in existing:
            changes.append(Change("create", "family", wanted.name, rule, f"keeps {_format_rule(rule)}", (family,)))
        elif rule != existing[family] and not _keeps_age(wanted, family, existing):
            text = f"keeps {_format_rule(existing[family])} → {_format_rule(rule)}"
            loses = "existing cells are deleted" if _deletes_more(rule, existing[family]) else ""
            changes.append(Change("change", "family", wanted.name, rule, text, (family,), loses))
    changes += [
        Change("drop", "family", wanted.name, None, "isn't declared", (family,), "all its cells are deleted")
        for family in existing
        if family not in wanted.families
    ]
    return changes


def kept_ages(wanted: Table, existing: Mapping[str, GcRule] | None) -> list[str]:
    """Return a line for each family whose GC rule has an age other than the declared one, and keeps it."""
    return [
        f"family {family} of table {wanted.name}: keeps {_format_rule(existing[family])}, which stays; the default is "
        f"{_format_rule(rule)}, and [tables.{wanted.name}] of a file for --config sets another"
        for family, rule in wanted.families.items()
        if existing is not None and _keeps_age(wanted, family, existing)
    ]


def plan_job(wanted: Job, existing: ExistingJob | None) -> list[Change]:
    """Return the changes that make a job as declared, and enabled."""
    if existing is None:
        return [Change("create", "job", wanted.name, wanted, f"{wanted.schedule} {wanted.time_zone}")]
    keys = _differing_keys(existing.job, wanted, _JOB_LABELS)
    texts = [_format_differences(existing.job, wanted, {key: _JOB_LABELS[key] for key in keys})] if keys else []
    if existing.state != "ENABLED":
        texts.append(f"state: {existing.state.lower()} → enabled")
        keys = (*keys, "paused" if existing.state == "PAUSED" else "state")
    return [Change("change", "job", wanted.name, wanted, ", ".join(texts), keys)] if keys else []


def _differing_keys(existing: object, wanted: object, keys: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if getattr(existing, key) != getattr(wanted, key))


def _keeps_age(wanted: Table, family: str, existing: Mapping[str, GcRule]) -> bool:
    """Return whether a family keeps its GC rule, because it differs only in the age and the table accepts any age."""
    rule, found = wanted.families[family], existing.get(family)
    return wanted.any_age and found is not None and found != rule and replace(found, age=rule.age) == rule


def _deletes_more(wanted: GcRule, existing: GcRule) -> bool:
    """Return whether `wanted` may delete a cell that `existing` keeps; assumed for a rule of another form."""
    fewer = wanted.versions is not None and (existing.versions is None or existing.versions > wanted.versions)
    younger = wanted.age is not None and (existing.age is None or existing.age > wanted.age)
    return fewer or younger


def _format_table(table: Table) -> str:
    splits = f" split at {len(table.splits)} keys" if table.splits else ""
    return f"with families {', '.join(table.families)}{splits}"


def _format_differences(existing: object, wanted: object, labels: Mapping[str, str]) -> str:
    return ", ".join(
        f"{label}: {_format(getattr(existing, key))} → {_format(getattr(wanted, key))}" for key, label in labels.items()
    )


def _format_rule(rule: GcRule) -> str:
    age = "" if rule.age is None else _format(rule.age)
    if rule.versions is not None:
        versions = f"{rule.versions} version{'s' if rule.versions != 1 else ''}"
        return f"{versions} for {age}" if age else versions
    return rule.other or age or "everything"


def _format(value: Any) -> str:
    if isinstance(value, timedelta):
        days, seconds = divmod(value.total_seconds(), 86_400)
        return f"{days:.0f} day{'s' if days != 1 else ''}" if days and not seconds else f"{value.total_seconds():g} s"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, bytes):
        return repr(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in sorted(value.items())) or "none"
    return str(value) if value or value == 0 else "none"
