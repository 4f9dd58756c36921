"""Fixtures for the offline Google Cloud CLI; adds the marker `gcloud` to every test of this folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from infra.deploy.gcloud import Command

HERE = Path(__file__).parent
# Example results of lookups.
VARIABLES = {
    "NUMBER": "123456789012",
    "POLICY": "projects/my-project/alertPolicies/1234567890",
}

ParseErrors = Callable[[Iterable[Command]], list[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gcloud)


@pytest.fixture(scope="session")
def sdk() -> Path:
    """The folder of the Google Cloud CLI; without it, tests are skipped, or fail if CI is set."""
    program = shutil.which("gcloud")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("gcloud isn't installed")
    return Path(program).resolve().parent.parent


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables for a gcloud without accounts, prompts, usage reports and network access."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "CLOUDSDK_CONFIG": str(tmp_path_factory.mktemp("gcloud")),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "0",
        "CLOUDSDK_PROXY_TYPE": "http",
        "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
        "CLOUDSDK_PROXY_PORT": "9",  # a closed port
        "NO_GCE_CHECK": "true",
    }


@pytest.fixture(scope="session")
def parse_errors(sdk: Path, isolated: dict[str, str]) -> ParseErrors:
    """Return the errors of gcloud's own parser for commands; "" for a valid one."""
    bundled = sdk / "platform" / "bundledpythonunix" / "bin" / "python3"
    python = bundled if bundled.exists() else Path(sys.executable)

    def parse(commands: Iterable[Command]) -> list[str]:
        arguments = [[_substitute(word) for word in command[1:]] for command in commands]
        done = subprocess.run(
            [python, "-W", "ignore", HERE / "parser.py", sdk / "lib"],
            input=json.dumps(arguments),
            env={**isolated, "CLOUDSDK_PYTHON_SITEPACKAGES": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        errors: list[str] = json.loads(done.stdout)
        return errors

    return parse


def _substitute(word: str) -> str:
    for name, value in VARIABLES.items():
        word = word.replace(f"${{{name}}}", value)
    return word
