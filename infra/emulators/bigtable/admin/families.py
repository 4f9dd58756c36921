"""Changes of column families."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

from infra.emulators.bigtable.admin.names import check_family_id
from infra.emulators.bigtable.storage.cell_table import DELETE_FAMILY
from infra.emulators.bigtable.storage.tables import Table
from infra.emulators.bigtable.storage.transactions import Statement
from infra.emulators.errors import ApiError, invalid

_MAX_FAMILIES = 100  # of a table: https://cloud.google.com/bigtable/quotas#limits-schema
_MASK = ("gc_rule", "value_type")


def check_families(message: Any) -> None:
    """Raise INVALID_ARGUMENT unless a table may have its column families."""
    for family in message.column_families:
        check_family_id(family)
    if len(message.column_families) > _MAX_FAMILIES:
        raise invalid(f"column_families: found {len(message.column_families)}, expected {_MAX_FAMILIES} or fewer")


def modify_families(table: Table, modifications: Iterable[Any]) -> tuple[Any, list[Statement]]:
    """Apply modifications in their order to a copy of the table's message; all of them or none.

    Returns:
        The changed message, and the statements that delete the cells of dropped families.

    Raises:
        ApiError: ALREADY_EXISTS, NOT_FOUND or INVALID_ARGUMENT; a modification doesn't fit.
    """
    message = type(table.message)()
    message.CopyFrom(table.message)
    statements: list[Statement] = []
    for modification in modifications:
        kind, family = modification.WhichOneof("mod"), check_family_id(modification.id)
        exists = family in message.column_families
        if kind == "create":
            if exists:
                text = f"column family {family!r} of {table.name}: found it, expected a new one"
                raise ApiError(grpc.StatusCode.ALREADY_EXISTS, text)
            message.column_families[family].CopyFrom(modification.create)
            continue
        if not exists:
            expected = ", ".join(sorted(message.column_families)) or "none, because the table has no families"
            text = f"column family of {table.name}: found {family!r}, expected {expected}"
            raise ApiError(grpc.StatusCode.NOT_FOUND, text)
        if kind == "update":
            _update(message.column_families[family], modification)
        elif kind == "drop" and modification.drop:
            del message.column_families[family]
            statements.append((DELETE_FAMILY, (table.id, family)))
        else:
            raise invalid(f"modification of {family!r}: found {kind}, expected create, update or drop = true")
    check_families(message)
    return message, statements


def _update(family: Any, modification: Any) -> None:
    """Update the fields of the mask, which are those that Bigtable can change."""
    paths = modification.update_mask.paths or ["gc_rule"]
    unknown = [path for path in paths if path.partition(".")[0] not in _MASK]
    if unknown:
        raise invalid(f"update_mask: found {', '.join(unknown)}, expected {' or '.join(_MASK)}")
    update = modification.update
    if any(path.startswith("value_type") for path in paths) and update.value_type != family.value_type:
        raise invalid(f"value_type of {modification.id!r}: found another type, expected the one it was created with")
    if any(path.startswith("gc_rule") for path in paths):
        family.ClearField("gc_rule")
        if update.HasField("gc_rule"):
            family.gc_rule.CopyFrom(update.gc_rule)
