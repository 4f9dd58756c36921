"""The printed script and `perform` run the same commands."""

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
# Records its arguments; prints $ANSWER for a lookup.
FAKE = """#!/bin/sh
printf '%s\\037' "$@" >>"$CALLS"
printf '\\n' >>"$CALLS"
case "$*" in *--format*) [ -z "$ANSWER" ] || printf '%s\\n' "$ANSWER" ;; esac
"""


def run_steps(steps: list[Step], answer: str) -> list[list[str]]:
    calls: list[list[str]] = []

    def call(command: Sequence[str], capture: bool) -> str:
        calls.append(list(command[1:]))
        return f"{answer}\n" if capture else ""

    perform(steps, lambda line: None, call)
    return calls


@pytest.mark.parametrize("answer", ["projects/my-project/things/a b'c", ""])
@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_the_printed_script_runs_the_same_commands(tmp_path: Path, name: str, answer: str) -> None:
    """Runs the script with bash and a fake gcloud that records its arguments."""
    steps = list(deploy_steps(TARGET, load()) if name == "deploy" else teardown_steps(TARGET))
    if not answer:  # keep only lookups that may return nothing, and steps that use them
        steps = [step for step in steps if not (isinstance(step, Lookup) and step.error)]
        defined = {step.variable for step in steps if isinstance(step, Lookup)}
        steps = [step for step in steps if not _variables(step) - defined]
    fake = tmp_path / "gcloud"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    calls = tmp_path / "calls"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls), "ANSWER": answer}

    subprocess.run(["bash"], input=script(steps), text=True, env=environment, check=True)

    assert [line.split("\037")[:-1] for line in calls.read_text().split("\n")[:-1]] == run_steps(steps, answer)


def _variables(step: Step) -> set[str]:
    return {word.split("}")[0] for part in step.command for word in part.split("${")[1:]}


def test_flags_have_the_form_of_gcloud() -> None:
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
def test_values_with_commas_use_another_separator(values: dict[str, str], expected: str) -> None:
    assert pairs(values) == expected


def test_the_result_of_a_lookup_selects_the_action() -> None:
    steps: list[Step] = [
        Lookup("look", "IT", ("gcloud", "list", "--format=x")),
        Action("make", ("gcloud", "create"), if_empty="IT"),
        Action("change", ("gcloud", "update", "${IT}"), if_set="IT"),
    ]

    assert run_steps(steps, "") == [["list", "--format=x"], ["create"]]
    assert run_steps(steps, "it") == [["list", "--format=x"], ["update", "it"]]


def test_a_lookup_is_skipped_after_an_empty_lookup() -> None:
    steps: list[Step] = [
        Lookup("look", "PLACE", ("gcloud", "places", "--format=x")),
        Lookup("look", "IT", ("gcloud", "list", "${PLACE}", "--format=x"), if_set="PLACE"),
        Action("change", ("gcloud", "update", "${IT}"), if_set="IT"),
    ]

    assert run_steps(steps, "") == [["places", "--format=x"]]
    assert run_steps(steps, "it") == [["places", "--format=x"], ["list", "it", "--format=x"], ["update", "it"]]


def test_an_empty_required_lookup_ends_the_run() -> None:
    steps: list[Step] = [
        Lookup("look", "IT", ("gcloud", "list"), error="deploy it first"),
        Action("x", ("gcloud", "y")),
    ]

    with pytest.raises(PermanentError, match="gcloud list: found nothing; deploy it first"):
        run_steps(steps, "")
    done = subprocess.run(["bash"], input=script(steps).replace("gcloud", "true"), text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (1, "deploy it first\n")


def test_a_failed_command_ends_the_run_with_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "gcloud"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    with pytest.raises(PermanentError, match="gcloud x: gcloud ended with exit code 3"):
        run(["gcloud", "x"], False)


def test_a_missing_gcloud_is_reported_with_install_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(MissingProgramError, match="apt-get install google-cloud-cli"):
        run(["gcloud", "x"], False)
