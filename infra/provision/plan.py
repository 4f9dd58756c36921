"""What has to change for things to be as declared: wanted and found in, changes out. Nothing here calls anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Literal

from infra.provision.resources import GcRule, Job, Subscription, Table

Thing = Literal["topic", "subscription", "table", "family", "job"]
Action = Literal["create", "change", "replace", "drop"]
_MARKS: dict[Action, str] = {"create": "+", "change": "~", "replace": "±", "drop": "-"}

# What a subscription can't be given later. https://cloud.google.com/pubsub/docs/create-subscription
FIXED = ("topic", "filter", "ordered")
_IN_A_SUBSCRIPTION = {
    "ack_deadline": "ack deadline",
    "minimum_backoff": "minimum back-off",
    "maximum_backoff": "maximum back-off",
    "expires_after": "expires after",
    "dead_letter": "dead-letter topic",
    "attempts": "delivery attempts",
    "exactly_once": "exactly-once delivery",
    "push_endpoint": "push endpoint",
}
_IN_A_JOB = {field.name: field.name.replace("_", " ") for field in fields(Job) if field.name != "name"}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do.

    Attributes:
        thing: what kind of thing it is done to.
        name: of the thing; of a family, its table's.
        wanted: how it is to be; None if it is to go.
        text: what is different, for people.
        keys: the attributes that differ, of a thing that is changed; for a family, its own name.
        loses: what is lost by it, for good. Such a change is made only when it is forced.
    """

    action: Action
    thing: Thing
    name: str
    wanted: Subscription | Table | GcRule | Job | None = None
    text: str = ""
    keys: tuple[str, ...] = ()
    loses: str = ""

    @property
    def title(self) -> str:
        """The thing's name, such as `family e of table events`."""
        return f"family {self.keys[0]} of table {self.name}" if self.thing == "family" else f"{self.thing} {self.name}"

    def line(self, *, force: bool = False) -> str:
        """Return the line of a diff: + made, ~ changed, ± made anew, - dropped, ! refused."""
        refused = bool(self.loses) and not force
        words = [f"{'!' if refused else _MARKS[self.action]} {self.title}"]
        words += [f": {self.text}"] if self.text else []
        words += [f"; refused without --force: {self.loses}"] if refused else []
        return "".join(words)


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job as it is, and its state beside: ENABLED, PAUSED, DISABLED or UPDATE_FAILED."""

    job: Job
    state: str = "ENABLED"


def plan_topics(wanted: Collection[str], found: Collection[str]) -> list[Change]:
    """Return what is to be done for these topics to be there."""
    return [Change("create", "topic", name) for name in wanted if name not in found]


def plan_subscription(wanted: Subscription, found: Subscription | None) -> list[Change]:
    """Return what is to be done for a subscription to be as wanted."""
    if found is None:
        return [Change("create", "subscription", wanted.name, wanted, f"of topic {wanted.topic}")]
    fixed = [key for key in FIXED if getattr(wanted, key) != getattr(found, key)]
    if fixed:
        text = _differences(found, wanted, {key: key for key in fixed})
        loses = "it has to be made anew, and what it holds unacknowledged is lost"
        return [Change("replace", "subscription", wanted.name, wanted, text, loses=loses)]
    changes = []
    # Attempts mean nothing where there are no dead letters.
    names = {key: name for key, name in _IN_A_SUBSCRIPTION.items() if key != "attempts" or wanted.dead_letter}
    keys = _different(found, wanted, names)
    if keys:
        text = _differences(found, wanted, {key: names[key] for key in keys})
        changes.append(Change("change", "subscription", wanted.name, wanted, text, keys))
    if wanted.retention != found.retention:
        text = _differences(found, wanted, {"retention": "retention"})
        loses = "messages that wait for longer than that are lost" if wanted.retention < found.retention else ""
        changes.append(Change("change", "subscription", wanted.name, wanted, text, ("retention",), loses))
    return changes


def plan_table(wanted: Table, found: Mapping[str, GcRule] | None) -> list[Change]:
    """Return what is to be done for a table to be as wanted.

    Args:
        wanted: the table.
        found: the families it has; None if there is no such table.
    """
    if found is None:
        return [Change("create", "table", wanted.name, wanted, table_text(wanted))]
    changes = []
    for family, rule in wanted.families.items():
        if family not in found:
            changes.append(Change("create", "family", wanted.name, rule, f"keeps {_rule_text(rule)}", (family,)))
        elif rule != found[family]:
            text = f"keeps {_rule_text(found[family])} → {_rule_text(rule)}"
            loses = "cells that are kept now are deleted" if _deletes_more(rule, found[family]) else ""
            changes.append(Change("change", "family", wanted.name, rule, text, (family,), loses))
    changes += [
        Change("drop", "family", wanted.name, None, "isn't declared", (family,), "all its cells are deleted")
        for family in found
        if family not in wanted.families
    ]
    return changes


def plan_job(wanted: Job, found: FoundJob | None) -> list[Change]:
    """Return what is to be done for a job to be as wanted, and not paused."""
    if found is None:
        return [Change("create", "job", wanted.name, wanted, f"{wanted.schedule} {wanted.time_zone}")]
    keys = _different(found.job, wanted, _IN_A_JOB)
    texts = [_differences(found.job, wanted, {key: _IN_A_JOB[key] for key in keys})] if keys else []
    if found.state != "ENABLED":
        texts.append(f"state: {found.state.lower()} → enabled")
        keys = (*keys, "paused" if found.state == "PAUSED" else "state")
    return [Change("change", "job", wanted.name, wanted, ", ".join(texts), keys)] if keys else []


def table_text(table: Table) -> str:
    """Return what a table that is made is like."""
    splits = f" split at {len(table.splits)} keys" if table.splits else ""
    return f"with families {', '.join(table.families)}{splits}"


def _different(found: object, wanted: object, keys: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if getattr(found, key) != getattr(wanted, key))


def _differences(found: object, wanted: object, names: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name}: {_say(getattr(found, key))} → {_say(getattr(wanted, key))}" for key, name in names.items()
    )


def _deletes_more(wanted: GcRule, found: GcRule) -> bool:
    """Return whether `wanted` may delete a cell that `found` keeps; of a rule we don't know, it may."""
    if wanted.versions is not None:
        return found.versions is None or found.versions > wanted.versions
    if wanted.age is not None:
        return found.age is None or found.age > wanted.age
    return False


def _rule_text(rule: GcRule) -> str:
    if rule.versions is not None:
        return f"{rule.versions} version{'s' if rule.versions != 1 else ''}"
    return rule.other or ("everything" if rule.age is None else _say(rule.age))


def _say(value: Any) -> str:
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
