"""Read tables of a TOML file into structs, with errors that name the key, the value found and the value expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Problem(Exception):  # noqa: N818 - internal; loaders raise it again as a ContractError or a SettingsError
    """An invalid key of a TOML file; the text names the key, the value found and the value expected."""

    def __init__(self, key: str, found: object, expected: str) -> None:
        shown = "nothing" if found is None else _represent(found)
        super().__init__(f"{key}: found {shown if len(shown) <= 120 else shown[:117] + '...'}, expected {expected}")


def _represent(found: object) -> str:
    try:
        return repr(list(found) if isinstance(found, tuple) else found)  # TOML has no tuples
    except RecursionError:  # a dotted key of a thousand names
        return "a value with too many levels"


def read_table(kind: type[T], table: object, where: str) -> T:
    """Return one table of the file as a `kind`; raise Problem for an invalid key or value."""
    if not isinstance(table, dict):
        raise Problem(where, table, f"a table [{where}]")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise _problem(kind, table, where, str(error)) from None


def read_tables(document: Mapping[str, Any], key: str, *, required: bool = True) -> dict[str, Any]:
    """Return the tables [key.name] of a file by name; raise Problem if they are required and missing."""
    found = document.get(key, None if required else {})
    if not isinstance(found, dict) or (required and not found):
        raise Problem(key, found, f"tables such as [{key}.name]")
    return found


def only_keys(document: Mapping[str, Any], known: set[str]) -> None:
    """Raise Problem for an unknown top-level key."""
    for key in document:
        if key not in known:
            raise Problem(key, document[key], f"only the top-level keys {', '.join(sorted(known))}")


def _problem(kind: type[msgspec.Struct], table: dict[str, Any], where: str, message: str) -> Problem:
    """Return the Problem that msgspec's message describes."""
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in table:
        if key not in known:
            return Problem(f"{where}.{key}", table[key], f"only the keys {', '.join(known)}")
    for key, field in known.items():
        if field.required and key not in table:
            return Problem(f"{where}.{key}", None, _expected(field.type))
    path = re.search(r"at `\$\.([^`.\[]+)", message)
    key = path[1] if path else next(iter(known))
    return Problem(f"{where}.{key}", table[key], _expected(known[key].type))


def _expected(kind: Any) -> str:
    """Return a description of the values that a key's annotation allows."""
    options = getattr(kind, "__args__", (kind,))
    if getattr(kind, "__origin__", None) in (list, tuple, dict):
        return {list: "a list", tuple: "a list", dict: "a table"}[kind.__origin__]
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    literal = all(isinstance(option, str) for option in options)
    return " or ".join(
        repr(option) if literal else words.get(option) or _expected(option)
        for option in options
        if option is not type(None)
    )
