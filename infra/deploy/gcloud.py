"""Steps of the Google Cloud CLI and of `sluice`, either printed as a shell script or run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import MissingProgramError, PermanentError

Command = tuple[str, ...]
Call = Callable[[Sequence[str], bool], str]

# An argument may contain ${NAME}, the variable of an earlier lookup.
_VARIABLE = re.compile(r"\$\{([A-Z_]+)\}")
# Errors of a fresh project that end by themselves: a new account, role, agent or API isn't known everywhere yet.
# https://cloud.google.com/iam/docs/access-change-propagation
_PROPAGATION_ERRORS = re.compile(
    r"service account \S+ does not exist"
    r"|iam\.serviceaccounts\.actas'? denied on service account \S+ \(or it may not exist\)"
    r"|missing permission on the build service account"
    r"|if you enabled this api recently, wait a few minutes",
    re.IGNORECASE,
)
# Seconds before each retry, five minutes in total. Google names two minutes as typical.
_RETRY_DELAYS = (5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 85.0)
_MISSING = """the Google Cloud CLI isn't installed. One of these installs it:
  apt-get install google-cloud-cli
  snap install google-cloud-cli --classic
  https://cloud.google.com/sdk/docs/install"""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A step that stores the output of a command in a variable.

    Attributes:
        title: the printed line.
        variable: the name of the variable for later steps.
        error: the error text for empty output; "" where the output may be empty.
        refusal: the error text for any output, which lists what must not exist; "" where there may be output.
        if_set: run only if this variable isn't empty; otherwise the result is empty.
    """

    title: str
    variable: str
    command: Command
    error: str = ""
    if_set: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """A step that creates, changes or deletes something.

    Attributes:
        title: the printed line.
        if_set: run only if this variable isn't empty.
        if_empty: run only if this variable is empty.
    """

    title: str
    command: Command
    if_set: str = ""
    if_empty: str = ""


Step = Lookup | Action


class CommandError(PermanentError):
    """A gcloud command failed.

    Attributes:
        output: what it wrote to standard error.
    """

    def __init__(self, text: str, output: str = "") -> None:
        super().__init__(text)
        self.output = output


def gcloud(*words: str, **flags: str | int | bool) -> Command:
    """Return a command: `gcloud("x", quiet=True, ack_deadline=600)` is `gcloud x --quiet --ack-deadline=600`."""
    return ("gcloud", *words, *(_flag(name.replace("_", "-"), value) for name, value in flags.items()))


def pairs(values: dict[str, str]) -> str:
    """Return KEY=VALUE,... for a flag, with another separator if a value contains a comma: `gcloud topic escaping`."""
    listed = [f"{key}={value}" for key, value in values.items()]
    for separator in (",", "|", ";", "~", "@@"):
        if not any(separator in each for each in listed):
            joined = separator.join(listed)
            return joined if separator == "," else f"^{separator}^{joined}"
    raise PermanentError(f"found {', '.join(listed)}, expected values without one of , | ; ~ @@")


def script(steps: Iterable[Step]) -> str:
    """Return the steps as a bash script that runs the same commands as `perform`, in the same order."""
    lines = ["set -euo pipefail"]
    title = ""
    for step in steps:
        if step.title != title:
            lines += ["", f"# {step.title}"]
            title = step.title
        line = " ".join(_quoted(word) for word in step.command)
        match step:
            case Lookup(variable=name, error=error, if_set=condition, refusal=refusal):
                lines += (
                    [f"{name}=", f'[ -z "${condition}" ] || {name}=$({line})'] if condition else [f"{name}=$({line})"]
                )
                if error:
                    lines.append(f'[ -n "${name}" ] || {{ echo {shlex.quote(error)} >&2; exit 1; }}')
                if refusal:
                    lines.append(f'[ -z "${name}" ] || {{ echo found "${name}", {shlex.quote(refusal)} >&2; exit 1; }}')
            case Action(if_set=name) if name:
                lines.append(f'[ -z "${name}" ] || {line}')
            case Action(if_empty=name) if name:
                lines.append(f'[ -n "${name}" ] || {line}')
            case _:
                lines.append(line)
    return "\n".join(lines) + "\n"


def perform(
    steps: Iterable[Step],
    echo: Callable[[str], None],
    call: Call | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run the steps in order; repeat a command for up to five minutes if a fresh project isn't ready for it yet.

    Args:
        steps: the steps.
        echo: prints a line; called with the title of each step.
        call: runs a command and returns its output if the second argument is true; `run` by default.
        sleep: waits for seconds before a retry.

    Raises:
        MissingProgramError: gcloud isn't installed.
        PermanentError: a command failed, a required lookup returned nothing, or a lookup found what must not exist.
    """
    variables: dict[str, str] = {}
    call = call or run
    title = ""
    for step in steps:
        if step.if_set and not variables[step.if_set]:
            if isinstance(step, Lookup):
                variables[step.variable] = ""
            continue
        if isinstance(step, Action) and step.if_empty and variables[step.if_empty]:
            continue
        command = [_VARIABLE.sub(lambda match: variables[match[1]], word) for word in step.command]
        if step.title != title:
            echo(step.title)
            title = step.title
        output = _call_with_retries(call, command, isinstance(step, Lookup), echo, sleep)
        if isinstance(step, Lookup):
            variables[step.variable] = output.strip()
            if step.error and not variables[step.variable]:
                raise PermanentError(f"{shlex.join(command)}: found nothing; {step.error}")
            if step.refusal and variables[step.variable]:
                raise PermanentError(f"found {' '.join(variables[step.variable].split())}, {step.refusal}")


def _call_with_retries(
    call: Call, command: Sequence[str], capture: bool, echo: Callable[[str], None], sleep: Callable[[float], None]
) -> str:
    for delay in _RETRY_DELAYS:
        try:
            return call(command, capture)
        except CommandError as error:
            if not (found := _PROPAGATION_ERRORS.search(error.output)):
                raise
            echo(f"a new project may need minutes until this is known everywhere: {found[0]}; retry in {delay:g} s")
            sleep(delay)
    return call(command, capture)


def run(command: Sequence[str], capture: bool) -> str:
    """Run a command; its progress on standard error is shown.

    Standard output is returned if `capture` is true. Otherwise that of gcloud is discarded: it prints whole policies.

    Raises:
        MissingProgramError: the program isn't installed.
        CommandError: the command failed.
    """
    shown: list[str] = []
    uncaptured = subprocess.DEVNULL if command[0] == "gcloud" else None
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(  # noqa: S603 - our own commands
            _resolved(command),
            stdout=output if capture else uncaptured,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            while process.stderr and (text := process.stderr.read(1)):  # progress dots have no newline
                shown.append(text)
                sys.stderr.write(text)
                sys.stderr.flush()
        output.seek(0)
        captured = output.read()
    if process.returncode:
        raise CommandError(
            f"{shlex.join(command)}: {command[0]} ended with exit code {process.returncode}; its error is shown above. "
            "`sluice doctor --cloud` finds what is missing. It is safe to run the same command again",
            "".join(shown),
        )
    return captured


def query(command: Sequence[str]) -> str:
    """Run a read-only command and return its output; raises PermanentError with gcloud's error line if it fails."""
    done = subprocess.run(_resolved(command), capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = [line for line in lines if line.startswith("ERROR:")] or lines
        raise PermanentError(errors[0] if errors else f"gcloud ended with exit code {done.returncode}")
    return done.stdout.strip()


def _resolved(command: Sequence[str]) -> list[str]:
    """Return the command with the path of its program, which may be beside this Python; raises MissingProgramError."""
    program = shutil.which(command[0]) or shutil.which(command[0], path=Path(sys.executable).parent)
    if program is None:
        raise MissingProgramError(_MISSING)
    return [program, *command[1:]]


def _flag(name: str, value: str | int | bool) -> str:
    if value is True:
        return f"--{name}"
    return f"--no-{name}" if value is False else f"--{name}={value}"


def _quoted(word: str) -> str:
    """Quote a word for the shell, except its variables."""
    parts = _VARIABLE.split(word)
    return (
        "".join(
            f'"${{{part}}}"' if index % 2 else shlex.quote(part) if part else "" for index, part in enumerate(parts)
        )
        or "''"
    )
