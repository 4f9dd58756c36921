"""The index of behaviours: docs/behaviours.md, generated from tests/behaviours.toml.

python -m tests.support.behaviours --write
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "tests" / "behaviours.toml"
PAGE = ROOT / "docs" / "behaviours.md"

_HEAD = """# Behaviours

Other pages link to the behaviours on this page by their ids. Each lists the tests that prove it. `make docs` generates
this page from [tests/behaviours.toml](../tests/behaviours.toml).
"""


@dataclass(frozen=True)
class Behaviour:
    """One documented behaviour.

    Attributes:
        group: heading that it stands under.
        id: anchor on the page.
        text: one sentence.
        tests: "file::function" each, the file relative to the repository.
    """

    group: str
    id: str
    text: str
    tests: tuple[str, ...]


def load(path: Path = INDEX) -> list[Behaviour]:
    """Return the behaviours in the order of the file."""
    groups = tomllib.loads(path.read_text("utf-8"))
    return [
        Behaviour(group, name, entry["text"], tuple(entry["tests"]))
        for group, entries in groups.items()
        for name, entry in entries.items()
    ]


def missing_tests(behaviours: list[Behaviour]) -> list[str]:
    """Return a line for each listed test that doesn't exist; files are parsed, not imported."""
    problems = []
    for behaviour in behaviours:
        for test in behaviour.tests:
            file, _, function = test.partition("::")
            if not (ROOT / file).is_file():
                problems.append(f"tests/behaviours.toml: {behaviour.id}: there is no file {file}")
            elif function not in functions_of(ROOT / file):
                problems.append(f"tests/behaviours.toml: {behaviour.id}: {file} has no function {function}")
    return problems


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Return the names of the functions that a file defines."""
    tree = ast.parse(path.read_bytes())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def page(behaviours: list[Behaviour]) -> str:
    """Return docs/behaviours.md."""
    parts = [_HEAD]
    group = ""
    for behaviour in behaviours:
        if behaviour.group != group:
            group = behaviour.group
            parts.append(f"## {group.replace('-', ' ').capitalize()}\n")
        tests = "\n".join("- [`{1}`](../{0})".format(*test.split("::")) for test in behaviour.tests)
        parts.append(f"### {behaviour.id}\n\n{behaviour.text}\n\n{tests}\n")
    return "\n".join(parts)


@click.command()
@click.option("--write", is_flag=True, help="Write docs/behaviours.md; without it the page is printed.")
def main(write: bool) -> None:
    """Generate the index of behaviours; fail if a listed test doesn't exist."""
    behaviours = load()
    if problems := missing_tests(behaviours):
        raise click.ClickException("\n".join(problems))
    if write:
        PAGE.write_text(page(behaviours), "utf-8")
    else:
        click.echo(page(behaviours), nl=False)


if __name__ == "__main__":
    main()
