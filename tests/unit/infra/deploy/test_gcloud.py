"""The printed script and `perform` run the same commands."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.deploy.config import load
from infra.deploy.gcloud import Action, CommandError, Lookup, Step, gcloud, pairs, perform, run, script
from infra.deploy.steps import Target, deploy_steps
from infra.deploy.teardown import teardown_steps
from shared.errors import MissingProgramError, PermanentError

TARGET = Target("my-project", "my-instance", "us-central1", "it's mine.toml", Path("build dir"))
# Records its arguments; prints $ANSWER for a lookup, and nothing for one of what must not exist.
FAKE = """#!/bin/sh
printf '%s\\037' "$@" >>"$CALLS"
printf '\\n' >>"$CALLS"
case "$*" in *" AND NOT "*) ;; *--format*) [ -z "$ANSWER" ] || printf '%s\\n' "$ANSWER" ;; esac
"""


def run_steps(steps: list[Step], answer: str) -> list[list[str]]:
    calls: list[list[str]] = []

    def call(command: Sequence[str], capture: bool) -> str:
        calls.append(list(command[1:]))
        return f"{answer}\n" if capture and " AND NOT " not in " ".join(command) else ""

    perform(steps, lambda line: None, call)
    return calls


@pytest.mark.parametrize("answer", ["projects/my-project/things/a b'c", ""])
@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_the_printed_script_runs_the_same_commands(tmp_path: Path, name: str, answer: str) -> None:
    """Runs the script with bash, and fakes of gcloud and sluice that record their arguments."""
    steps = list(deploy_steps(TARGET, load()) if name == "deploy" else teardown_steps(TARGET))
    if not answer:  # keep only lookups that may return nothing, and steps that use them
        steps = [step for step in steps if not (isinstance(step, Lookup) and step.error)]
        defined = {step.variable for step in steps if isinstance(step, Lookup)}
        steps = [step for step in steps if not _variables(step) - defined]
    for fake in (tmp_path / "gcloud", tmp_path / "sluice"):
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


def test_the_error_of_a_failed_command_is_shown_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "gcloud"
    fake.write_text("#!/bin/sh\necho output\nprintf 'working...\\nERROR: no' >&2\n[ $1 = good ]\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    with pytest.raises(CommandError) as raised:
        run(["gcloud", "bad"], True)

    assert raised.value.output == "working...\nERROR: no"
    assert capsys.readouterr().err == "working...\nERROR: no"
    assert (run(["gcloud", "good"], True), run(["gcloud", "good"], False)) == ("output\n", "")


class FailingCall:
    """Fails with errors in turn, then succeeds; records the waits."""

    def __init__(self, *errors: str) -> None:
        self.errors = list(errors)
        self.waits: list[float] = []
        self.calls = 0

    def __call__(self, command: Sequence[str], capture: bool) -> str:
        self.calls += 1
        if self.errors:
            raise CommandError("gcloud x: gcloud ended with exit code 1", self.errors.pop(0))
        return "it"

    def perform(self, echo: list[str]) -> None:
        perform([Lookup("look", "IT", ("gcloud", "x"))], echo.append, self, self.waits.append)


AGENT = "service-123@gcp-sa-pubsub.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    "error",
    [
        f"ERROR: (gcloud.x.add-iam-policy-binding) INVALID_ARGUMENT: Service account {AGENT} does not exist.",
        "Permission 'iam.serviceaccounts.actAs' denied on service account a@p.example (or it may not exist).",
        "Could not build the function due to a missing permission on the build service account.",
        "PERMISSION_DENIED: ... If you enabled this API recently, wait a few minutes for the action to propagate ...",
    ],
)
def test_a_command_is_repeated_while_a_fresh_project_is_not_ready(error: str) -> None:
    call, lines = FailingCall(error, error, error), list[str]()

    call.perform(lines)

    assert (call.calls, call.waits) == (4, [5.0, 10.0, 20.0])
    assert lines[0] == "look"
    assert [line.rpartition("; ")[2] for line in lines[1:]] == ["retry in 5 s", "retry in 10 s", "retry in 20 s"]


def test_retries_of_a_command_end_after_five_minutes() -> None:
    call = FailingCall(*[f"Service account {AGENT} does not exist."] * 100)

    with pytest.raises(PermanentError, match="gcloud x: gcloud ended with exit code 1"):
        call.perform([])

    assert sum(call.waits) == 300


def test_other_errors_are_not_retried() -> None:
    call = FailingCall("ERROR: (gcloud.functions.deploy) PERMISSION_DENIED: Permission 'x.y' denied")

    with pytest.raises(PermanentError):
        call.perform([])

    assert (call.calls, call.waits) == (1, [])


@pytest.mark.parametrize("found", ["", "projects/p/functions/a"])
def test_a_lookup_of_what_must_not_exist_ends_the_steps_if_it_finds_any(tmp_path: Path, found: str) -> None:
    steps: list[Step] = [
        Lookup("check", "UNOWNED", gcloud("list"), refusal="expected functions with the mark sluice=shop"),
        Action("delete", gcloud("delete")),
    ]
    fake = tmp_path / "gcloud"
    fake.write_text('#!/bin/sh\necho "$1" >>"$CALLS"\n[ "$1" != list ] || printf "%s" "$FOUND"\n')
    fake.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls"), "FOUND": found}
    performed: list[str] = []

    def call(command: Sequence[str], capture: bool) -> str:
        performed.append(command[1])
        return found if capture else ""

    done = subprocess.run(["bash"], input=script(steps), text=True, env=environment, check=False, capture_output=True)
    if found:
        expected = "found projects/p/functions/a, expected functions with the mark sluice=shop"
        assert (done.returncode, done.stderr.strip()) == (1, expected)
        with pytest.raises(PermanentError, match=expected):
            perform(steps, lambda line: None, call)
    else:
        assert done.returncode == 0
        perform(steps, lambda line: None, call)
    assert (tmp_path / "calls").read_text().split() == performed == (["list"] if found else ["list", "delete"])
