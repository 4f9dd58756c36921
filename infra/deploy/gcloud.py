"""Steps of the Google Cloud CLI: written out as a shell script, or done, from the same list."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shared.errors import MissingProgramError, PermanentError

Command = tuple[str, ...]

# An argument may have ${NAME} in it where a step before has asked for NAME.
_VARIABLE = re.compile(r"\$\{([A-Z_]+)\}")
_MISSING = """the Google Cloud CLI isn't installed. One of these installs it:
  apt-get install google-cloud-cli
  snap install google-cloud-cli --classic
  https://cloud.google.com/sdk/docs/install"""


@dataclass(frozen=True, slots=True)
class Ask:
    """Look something up that later steps need.

    Attributes:
        into: the name under which they have it.
        needed: what to do if there is none, for the person; empty where there may be none.
        found: ask only if what was asked for under that name is there; otherwise there is none of this either.
    """

    why: str
    into: str
    command: Command
    needed: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True)
class Do:
    """Make, change or remove something.

    Attributes:
        found: do it only if what was asked for under that name is there.
        missing: do it only if it isn't.
    """

    why: str
    command: Command
    found: str = ""
    missing: str = ""


Step = Ask | Do


def gcloud(*words: str, **flags: str | int | bool) -> Command:
    """Return a command: of `gcloud("x", quiet=True, ack_deadline=600)` it is `gcloud x --quiet --ack-deadline=600`."""
    return ("gcloud", *words, *(_flag(name.replace("_", "-"), value) for name, value in flags.items()))


def pairs(values: dict[str, str]) -> str:
    """Return what a flag takes as KEY=VALUE,..., with another comma where a value has one: `gcloud topic escaping`."""
    listed = [f"{key}={value}" for key, value in values.items()]
    for comma in (",", "|", ";", "~", "@@"):
        if not any(comma in each for each in listed):
            return comma.join(listed) if comma == "," else f"^{comma}^{comma.join(listed)}"
    raise PermanentError(f"found {', '.join(listed)}, expected values without one of , | ; ~ @@")


def script(steps: Iterable[Step]) -> str:
    """Return the steps as a script for bash: what `perform` would run, in that order."""
    lines = ["set -euo pipefail"]
    why = ""
    for step in steps:
        if step.why != why:
            lines += ["", f"# {step.why}"]
            why = step.why
        line = " ".join(_quoted(word) for word in step.command)
        match step:
            case Ask(into=name, needed=needed, found=found):
                lines += [f"{name}=", f'[ -z "${found}" ] || {name}=$({line})'] if found else [f"{name}=$({line})"]
                if needed:
                    lines.append(f'[ -n "${name}" ] || {{ echo {shlex.quote(needed)} >&2; exit 1; }}')
            case Do(found=name) if name:
                lines.append(f'[ -z "${name}" ] || {line}')
            case Do(missing=name) if name:
                lines.append(f'[ -n "${name}" ] || {line}')
            case _:
                lines.append(line)
    return "\n".join(lines) + "\n"


def perform(
    steps: Iterable[Step], tell: Callable[[str], None], call: Callable[[Sequence[str], bool], str] | None = None
) -> None:
    """Do the steps, one after the other.

    Args:
        steps: what to do.
        tell: is given a line for each.
        call: runs a command and returns what it wrote, if that is wanted; gcloud itself by default.

    Raises:
        MissingProgramError: there is no gcloud.
        PermanentError: a command failed, or what was asked for and is needed isn't there.
    """
    known: dict[str, str] = {}
    call = call or run
    why = ""
    for step in steps:
        if step.found and not known[step.found]:
            if isinstance(step, Ask):
                known[step.into] = ""
            continue
        if isinstance(step, Do) and step.missing and known[step.missing]:
            continue
        command = [_VARIABLE.sub(lambda match: known[match[1]], word) for word in step.command]
        if step.why != why:
            tell(step.why)
            why = step.why
        wrote = call(command, isinstance(step, Ask))
        if isinstance(step, Ask):
            known[step.into] = wrote.strip()
            if step.needed and not known[step.into]:
                raise PermanentError(f"{shlex.join(command)}: found nothing; {step.needed}")


def run(command: Sequence[str], wanted: bool) -> str:
    """Run a command of gcloud; its progress is seen, and whole policies and functions, which it shows too, aren't."""
    program = shutil.which(command[0])
    if program is None:
        raise MissingProgramError(_MISSING)
    done = subprocess.run(  # noqa: S603 - the commands are ours
        [program, *command[1:]], stdout=subprocess.PIPE if wanted else subprocess.DEVNULL, text=True, check=False
    )
    if done.returncode:
        raise PermanentError(
            f"{shlex.join(command)}: gcloud ended with exit code {done.returncode}, and said why above; "
            "`sluice doctor --cloud` looks for what is missing, and all of this can be run again"
        )
    return done.stdout or ""


def answer(command: Sequence[str]) -> str:
    """Run a command that only looks, and return what it wrote; PermanentError with its last line if it failed."""
    program = shutil.which(command[0])
    if program is None:
        raise MissingProgramError(_MISSING)
    done = subprocess.run(  # noqa: S603 - the commands are ours
        [program, *command[1:]], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()
        raise PermanentError(said[0] if said else f"gcloud ended with exit code {done.returncode}")
    return done.stdout.strip()


def _flag(name: str, value: str | int | bool) -> str:
    if value is True:
        return f"--{name}"
    return f"--no-{name}" if value is False else f"--{name}={value}"


def _quoted(word: str) -> str:
    """Quote a word for the shell, but for the variables in it."""
    parts = _VARIABLE.split(word)
    return (
        "".join(
            f'"${{{part}}}"' if index % 2 else shlex.quote(part) if part else "" for index, part in enumerate(parts)
        )
        or "''"
    )
