"""Steps are the same printed and done."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.deploy.config import load
from infra.deploy.gcloud import Action, Lookup, Step, gcloud, pairs, perform, run, script
from infra.deploy.steps import Target, deploy_steps
from infra.deploy.teardown import teardown_steps
from shared.errors import MissingProgramError, PermanentError

TARGET = Target("my-project", "my-instance", "us-central1", "it's mine.toml", Path("build dir"))
# Writes down how it was called; answers a look-up if told to.
FAKE = """#!/bin/sh
printf '%s\\037' "$@" >>"$CALLS"
printf '\\n' >>"$CALLS"
case "$*" in *--format*) [ -z "$ANSWER" ] || printf '%s\\n' "$ANSWER" ;; esac
"""


def performed(steps: list[Step], answer: str) -> list[list[str]]:
    calls: list[list[str]] = []

    def call(command: Sequence[str], wanted: bool) -> str:
        calls.append(list(command[1:]))
        return f"{answer}\n" if wanted else ""

    perform(steps, lambda line: None, call)
    return calls


@pytest.mark.parametrize("answer", ["projects/my-project/things/a b'c", ""])
@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_the_script_that_is_printed_does_what_is_done(tmp_path: Path, name: str, answer: str) -> None:
    """Through bash with a gcloud that only writes down how it is called."""
    steps = list(deploy_steps(TARGET, load()) if name == "deploy" else teardown_steps(TARGET))
    if not answer:  # what is needed has to be there; what may be missing, is
        steps = [step for step in steps if not (isinstance(step, Lookup) and step.error)]
        asked = {step.variable for step in steps if isinstance(step, Lookup)}
        steps = [step for step in steps if not _uses(step) - asked]
    fake = tmp_path / "gcloud"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    calls = tmp_path / "calls"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls), "ANSWER": answer}

    subprocess.run(["bash"], input=script(steps), text=True, env=environment, check=True)

    assert [line.split("\037")[:-1] for line in calls.read_text().split("\n")[:-1]] == performed(steps, answer)


def _uses(step: Step) -> set[str]:
    return {word.split("}")[0] for part in step.command for word in part.split("${")[1:]}


def test_a_flag_is_written_as_gcloud_takes_it() -> None:
    command = gcloud("x", "y", gen2=True, allow_unauthenticated=False, ack_deadline=600, name="a b")

    assert command == ("gcloud", "x", "y", "--gen2", "--no-allow-unauthenticated", "--ack-deadline=600", "--name=a b")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"A": "1", "B": "2"}, "A=1,B=2"),
        ({"A": "1,2", "B": "3"}, "^|^A=1,2|B=3"),
        ({"A": "1,2|3"}, "^;^A=1,2|3"),
    ],
)
def test_values_with_commas_are_separated_by_something_else(values: dict[str, str], expected: str) -> None:
    assert pairs(values) == expected


def test_what_was_asked_for_decides_what_is_done() -> None:
    steps: list[Step] = [
        Lookup("look", "IT", ("gcloud", "list", "--format=x")),
        Action("make", ("gcloud", "create"), if_empty="IT"),
        Action("change", ("gcloud", "update", "${IT}"), if_set="IT"),
    ]

    assert performed(steps, "") == [["list", "--format=x"], ["create"]]
    assert performed(steps, "it") == [["list", "--format=x"], ["update", "it"]]


def test_where_something_isnt_there_nothing_is_asked_of_it() -> None:
    steps: list[Step] = [
        Lookup("look", "PLACE", ("gcloud", "places", "--format=x")),
        Lookup("look", "IT", ("gcloud", "list", "${PLACE}", "--format=x"), if_set="PLACE"),
        Action("change", ("gcloud", "update", "${IT}"), if_set="IT"),
    ]

    assert performed(steps, "") == [["places", "--format=x"]]
    assert performed(steps, "it") == [["places", "--format=x"], ["list", "it", "--format=x"], ["update", "it"]]


def test_what_is_needed_and_isnt_there_ends_it() -> None:
    steps: list[Step] = [
        Lookup("look", "IT", ("gcloud", "list"), error="deploy it first"),
        Action("x", ("gcloud", "y")),
    ]

    with pytest.raises(PermanentError, match="gcloud list: found nothing; deploy it first"):
        performed(steps, "")
    done = subprocess.run(["bash"], input=script(steps).replace("gcloud", "true"), text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (1, "deploy it first\n")


def test_a_command_that_fails_is_told_and_nothing_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "gcloud"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    with pytest.raises(PermanentError, match="gcloud x: gcloud ended with exit code 3"):
        run(["gcloud", "x"], False)


def test_a_missing_gcloud_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(MissingProgramError, match="apt-get install google-cloud-cli"):
        run(["gcloud", "x"], False)
