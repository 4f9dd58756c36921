"""Read tables of a TOML file into structs, and say what is wrong by key, value and expectation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Problem(Exception):  # noqa: N818 - it never leaves the package; `contract.load` turns it into a ContractError
    """Something wrong in a contract: the key, what was found there and what was expected."""

    def __init__(self, key: str, found: object, expected: str) -> None:
        shown = "nothing" if found is None else repr(found)
        super().__init__(f"{key}: found {shown if len(shown) <= 120 else shown[:117] + '...'}, expected {expected}")


def read_table(kind: type[T], table: object, where: str) -> T:
    """Make a `kind` of one table of the file; Problem, naming the key, if it doesn't fit."""
    if not isinstance(table, dict):
        raise Problem(where, table, f"a table [{where}]")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise _problem(kind, table, where, str(error)) from None


def read_tables(document: Mapping[str, Any], key: str, *, required: bool = True) -> dict[str, Any]:
    """Return the tables [key.name] of a file by name; Problem if there are none but have to be."""
    found = document.get(key, None if required else {})
    if not isinstance(found, dict) or (required and not found):
        raise Problem(key, found, f"a table for each of them, such as [{key}.name]")
    return found


def only_keys(document: Mapping[str, Any], known: set[str]) -> None:
    """Raise Problem for a key at the top of the file that isn't known."""
    for key in document:
        if key not in known:
            raise Problem(key, document[key], f"only {', '.join(sorted(known))} at the top of the file")


def _problem(kind: type[msgspec.Struct], table: dict[str, Any], where: str, message: str) -> Problem:
    """Turn msgspec's message into one that names key, found and expected."""
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
    """Say in words what a key's annotation allows."""
    options = getattr(kind, "__args__", (kind,))
    if getattr(kind, "__origin__", None) in (list, dict):
        return {list: "a list", dict: "a table"}[kind.__origin__]
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    literal = all(isinstance(option, str) for option in options)
    return " or ".join(
        repr(option) if literal else words.get(option) or _expected(option)
        for option in options
        if option is not type(None)
    )
