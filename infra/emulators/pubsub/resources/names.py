"""Names of resources, labels and update masks."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from infra.emulators.errors import invalid

# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_PROJECT = re.compile(r"projects/([^/]+)")
_NAME = re.compile(r"projects/([^/]+)/(topics|subscriptions|snapshots)/((?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254})")
# https://cloud.google.com/pubsub/docs/labels
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_MAX_LABELS = 64

DELETED_TOPIC = "_deleted-topic_"


def check_name(kind: str, name: str) -> str:
    """Return the name of a resource; raises ApiError if it is invalid.

    Args:
        kind: topics, subscriptions or snapshots.
        name: the full name.
    """
    found = _NAME.fullmatch(name)
    if found is None or found[2] != kind:
        raise invalid(
            f"Invalid [{kind}] name: (name={name}), expected projects/PROJECT/{kind}/ID; an ID has 3 to 255 letters, "
            "digits and -._~+%, starts with a letter and not with goog"
        )
    return name


def check_project(name: str) -> str:
    """Return the name of a project; raises ApiError if it is invalid."""
    if not _PROJECT.fullmatch(name):
        raise invalid(f"Invalid [projects] name: (name={name}), expected projects/PROJECT")
    return name


def project_of(name: str) -> str:
    """Return the ID of the project of a resource."""
    return name.split("/", 2)[1]


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise ApiError unless the labels are valid."""
    if len(labels) > _MAX_LABELS:
        raise invalid(f"labels: found {len(labels)}, expected {_MAX_LABELS} at most")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(
                f"labels: found {key!r}: {value!r}, expected up to 63 lower-case letters, digits, _ and -, and a key "
                "that starts with a letter"
            )


def update(current: Any, changes: Any, mask: FieldMask, mutable: Collection[str]) -> Any:
    """Return a copy of a resource with the fields of a mask taken from `changes`.

    Raises:
        ApiError: the mask is empty, or names a field that doesn't exist or is fixed.
    """
    kind = type(current).__name__
    if not mask.paths:
        raise invalid(
            f"The update_mask in the Update{kind}Request must be set, and must contain a non-empty paths list."
        )
    for path in mask.paths:
        if not FieldMask(paths=[path]).IsValidForDescriptor(current.DESCRIPTOR):
            problem = f"{path} is not a known {kind} field"
        elif path.split(".")[0] not in mutable:
            problem = f"the {path} field in the {kind} is not mutable"
        else:
            continue
        raise invalid(f"Invalid update_mask provided in the Update{kind}Request: {problem}.")
    updated = type(current)()
    updated.CopyFrom(current)
    for path in mask.paths:
        if "." not in path:
            updated.ClearField(path)
    mask.MergeMessage(changes, updated, replace_message_field=True, replace_repeated_field=True)
    return updated
