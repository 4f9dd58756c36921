"""Whether a `sluice` command that a page or a workflow quotes exists."""

from __future__ import annotations

from collections.abc import Sequence

import click

from infra.cli.commands import sluice


def exists(words: Sequence[str]) -> bool:
    """Return whether the words after `sluice` name a command and options of it."""
    command: click.Command = sluice
    rest = list(words)
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    return command is not sluice and options <= known
