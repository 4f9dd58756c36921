"""Installed programs are found; the error for a missing one contains the commands that install it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import google_emulators
from shared.errors import MissingProgramError


@pytest.fixture
def empty_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with an empty PATH and without a Google Cloud CLI."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CLOUDSDK_ROOT_DIR", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_error_for_a_missing_program_names_the_commands_that_install_it(empty_machine: Path) -> None:
    with pytest.raises(MissingProgramError, match="apt-get install google-cloud-cli-bigtable-emulator"):
        google_emulators.find_bigtable()
    with pytest.raises(MissingProgramError, match="gcloud components install pubsub-emulator"):
        google_emulators.find_pubsub()
    with pytest.raises(MissingProgramError, match="apt-get install default-jre-headless"):
        google_emulators.find_java()


def test_the_emulators_are_found_beside_gcloud_through_its_link(empty_machine: Path) -> None:
    program(empty_machine / "sdk" / "bin" / "gcloud")
    (empty_machine / "bin" / "gcloud").symlink_to(empty_machine / "sdk" / "bin" / "gcloud")
    emulator = program(empty_machine / "sdk" / "platform" / "bigtable-emulator" / "cbtemulator")
    for version in ("0.8.9", "0.8.20"):
        jar = program(
            empty_machine / "sdk" / "platform" / "pubsub-emulator" / "lib" / f"cloud-pubsub-emulator-{version}-all.jar"
        )

    assert google_emulators.find_bigtable() == emulator
    assert google_emulators.find_pubsub().parent == jar.parent


def test_the_cli_root_and_java_home_of_the_environment_are_used(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = program(empty_machine / "root" / "platform" / "bigtable-emulator" / "cbtemulator")
    java = program(empty_machine / "jdk" / "bin" / "java")
    monkeypatch.setenv("CLOUDSDK_ROOT_DIR", str(empty_machine / "root"))
    monkeypatch.setenv("JAVA_HOME", str(empty_machine / "jdk"))

    assert google_emulators.find_bigtable() == emulator
    assert google_emulators.find_java() == java


def test_an_emulator_on_the_path_comes_first(empty_machine: Path) -> None:
    emulator = program(empty_machine / "bin" / "cbtemulator")
    assert google_emulators.find_bigtable() == emulator
