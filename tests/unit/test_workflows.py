"""The workflows of GitHub Actions run commands that exist, with pinned actions and the least permissions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import commands
from tests.support.samples import ROOT

FOLDER = ROOT / ".github" / "workflows"
DEPLOY = FOLDER / "deploy.yml"


def steps(path: Path) -> list[dict[str, Any]]:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def run_lines(path: Path) -> list[list[str]]:
    """Return the words of each line that a workflow runs."""
    lines = [line for step in steps(path) for line in step.get("run", "").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_every_command_of_a_workflow_exists_with_its_options(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = run_lines(path)
    sluice = [words[1:] for words in lines if words[0] == ".venv/bin/sluice"]
    scripts = {words[1] for words in lines if words[0] == "bash"}

    assert lines
    assert [words for words in sluice if not commands.exists(words)] == []
    assert {words[0] for words in lines} <= {".venv/bin/sluice", "make", "bash"}
    assert {target for words in lines if words[0] == "make" for target in words[1:]} <= targets
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


def test_an_unknown_command_or_option_is_found() -> None:
    assert commands.exists(["smoke", "--timeout", "120"])
    assert commands.exists(["replay", "rejected", "--dry-run"])
    assert not commands.exists(["smoke", "--wait", "120"])
    assert not commands.exists(["smokes"])
    assert not commands.exists(["--version"])


def test_a_deploy_provisions_before_it_deploys_and_tests_the_result_last() -> None:
    names = [step.get("uses", step.get("run", "")).partition("@")[0] for step in steps(DEPLOY)]

    assert names == [
        "actions/checkout",
        "actions/setup-python",
        "make setup",
        "google-github-actions/auth",
        "google-github-actions/setup-gcloud",
        ".venv/bin/sluice provision",
        ".venv/bin/sluice deploy",
        ".venv/bin/sluice doctor --cloud",
        ".venv/bin/sluice smoke --timeout 120",
    ]


def test_a_deploy_signs_in_without_a_key() -> None:
    workflow = yaml.safe_load(DEPLOY.read_text("utf-8"))
    [auth] = [step for step in steps(DEPLOY) if step.get("uses", "").startswith("google-github-actions/auth@")]

    assert workflow["permissions"] == {"contents": "read", "id-token": "write"}
    assert set(auth["with"]) == {"project_id", "workload_identity_provider", "service_account"}
    assert "secrets." not in DEPLOY.read_text("utf-8")


def test_a_deploy_starts_by_hand_and_on_tags_alone() -> None:
    workflow = yaml.safe_load(DEPLOY.read_text("utf-8"))

    assert workflow[True] == {"workflow_dispatch": None, "push": {"tags": ["v*"]}}  # YAML 1.1 reads `on` as true


def test_the_actions_of_a_deploy_are_pinned_to_commits() -> None:
    uses = re.findall(r"uses: (\S+) *(.*)", DEPLOY.read_text("utf-8"))

    assert len(uses) == 4
    assert [each for each in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each[0])] == []
    assert [each for each in uses if not re.fullmatch(r"# v\d+\.\d+\.\d+", each[1])] == []


def test_the_variables_of_a_deploy_are_documented() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8").partition("## Deploy from GitHub Actions")[2]
    variables = set(re.findall(r"vars\.(\w+)", DEPLOY.read_text("utf-8")))

    assert len(variables) == 6
    assert {name for name in variables if f"`{name}`" not in page} == set()
