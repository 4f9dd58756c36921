"""Resource names and ids."""

from __future__ import annotations

import re

from infra.emulators.errors import invalid

_INSTANCE = re.compile(r"projects/[^/]+/instances/[^/]+")
# https://cloud.google.com/bigtable/docs/reference/admin/rpc/google.bigtable.admin.v2#createtablerequest
_TABLE_ID = re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,49}")
_TABLE = re.compile(rf"{_INSTANCE.pattern}/tables/{_TABLE_ID.pattern}")
_FAMILY_ID = re.compile(r"[-_.a-zA-Z0-9]{1,64}")


def check_instance_name(name: str, field: str) -> str:
    """Return the name of an instance; raises INVALID_ARGUMENT unless it is one."""
    return _check(_INSTANCE, name, field, "projects/<project>/instances/<instance>")


def check_table_name(name: str, field: str) -> str:
    """Return the name of a table; raises INVALID_ARGUMENT unless it is one."""
    return _check(_TABLE, name, field, "projects/<project>/instances/<instance>/tables/<table>")


def check_table_id(table_id: str) -> str:
    """Return the id of a table; raises INVALID_ARGUMENT unless it is one."""
    return _check(_TABLE_ID, table_id, "table_id", f"1 to 50 characters: {_TABLE_ID.pattern}")


def check_family_id(family: str) -> str:
    """Return the id of a column family; raises INVALID_ARGUMENT unless it is one."""
    return _check(_FAMILY_ID, family, "column family id", f"1 to 64 characters: {_FAMILY_ID.pattern}")


def instance_of(table_name: str) -> str:
    """Return the name of the instance of a table."""
    return table_name.partition("/tables/")[0]


def _check(pattern: re.Pattern[str], text: str, field: str, expected: str) -> str:
    if not pattern.fullmatch(text):
        raise invalid(f"{field}: found {text!r}, expected {expected}")
    return text
