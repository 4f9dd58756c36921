"""Rules that a row filter as a whole has to keep.

Source: the comments of google/bigtable/v2/data.proto. Google's emulators check the number of sub-filters (Go) and that
a condition has a predicate (C++).
"""

from __future__ import annotations

from typing import Any

from infra.emulators.errors import invalid

_MAX_BYTES = 20_480
_MAX_DEPTH = 20
_FLAGS = {"sink", "pass_all_filter", "block_all_filter", "strip_value_transformer"}


def validate_filter(message: Any) -> None:
    """Raise an error if a `google.bigtable.v2.RowFilter` is too large or composed against the rules."""
    if (size := message.ByteSize()) > _MAX_BYTES:
        raise invalid(f"filter: found {size} bytes, expected {_MAX_BYTES} at most")
    _validate(message, depth=1, in_condition=False)


def has_sink(message: Any) -> bool:
    """Return whether a filter, or a filter nested in it, is a sink."""
    return message.WhichOneof("filter") == "sink" or any(map(has_sink, _nested(message)))


def _validate(message: Any, *, depth: int, in_condition: bool) -> None:
    if depth > _MAX_DEPTH:
        raise invalid(f"filter: found filters nested more than {_MAX_DEPTH} deep, expected {_MAX_DEPTH} at most")
    kind = message.WhichOneof("filter")
    nested = _nested(message)
    if kind in _FLAGS and not getattr(message, kind):
        raise invalid(f"{kind}: found false, expected true or another filter")
    if kind == "sink" and in_condition:
        raise invalid("condition: found a sink in it, expected sinks outside of conditions only")
    if kind in ("chain", "interleave") and len(nested) < 2:
        raise invalid(f"{kind}: found {len(nested)} filters, expected 2 at least")
    if kind == "chain" and (labelling := sum(map(_has_label, nested))) > 1:
        raise invalid(f"chain: found {labelling} filters with an apply_label_transformer, expected 1 at most")
    if kind == "condition" and not message.condition.HasField("predicate_filter"):
        raise invalid("condition: found no predicate_filter, expected one")
    for each in nested:
        _validate(each, depth=depth + 1, in_condition=in_condition or kind == "condition")


def _has_label(message: Any) -> bool:
    return message.WhichOneof("filter") == "apply_label_transformer" or any(map(_has_label, _nested(message)))


def _nested(message: Any) -> list[Any]:
    """Return the filters directly inside a filter."""
    kind = message.WhichOneof("filter")
    if kind in ("chain", "interleave"):
        return list(getattr(message, kind).filters)
    if kind == "condition":
        return [branch for _field, branch in message.condition.ListFields()]
    return []
