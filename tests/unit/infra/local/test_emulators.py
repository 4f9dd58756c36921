"""Programs are found where they are installed, and told with the commands that install them where they aren't."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import emulators
from shared.errors import MissingProgramError


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with an empty PATH."""
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


def test_what_is_missing_is_told_with_what_installs_it(nothing: Path) -> None:
    with pytest.raises(MissingProgramError, match="apt-get install google-cloud-cli-bigtable-emulator"):
        emulators.find_bigtable()
    with pytest.raises(MissingProgramError, match="gcloud components install pubsub-emulator"):
        emulators.find_pubsub()
    with pytest.raises(MissingProgramError, match="apt-get install default-jre-headless"):
        emulators.find_java()


def test_the_emulators_are_found_beside_gcloud_through_its_link(nothing: Path) -> None:
    program(nothing / "sdk" / "bin" / "gcloud")
    (nothing / "bin" / "gcloud").symlink_to(nothing / "sdk" / "bin" / "gcloud")
    emulator = program(nothing / "sdk" / "platform" / "bigtable-emulator" / "cbtemulator")
    for version in ("0.8.9", "0.8.20"):
        jar = program(
            nothing / "sdk" / "platform" / "pubsub-emulator" / "lib" / f"cloud-pubsub-emulator-{version}-all.jar"
        )

    assert emulators.find_bigtable() == emulator
    assert emulators.find_pubsub().parent == jar.parent


def test_a_told_root_and_java_home_are_used(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = program(nothing / "root" / "platform" / "bigtable-emulator" / "cbtemulator")
    java = program(nothing / "jdk" / "bin" / "java")
    monkeypatch.setenv("CLOUDSDK_ROOT_DIR", str(nothing / "root"))
    monkeypatch.setenv("JAVA_HOME", str(nothing / "jdk"))

    assert emulators.find_bigtable() == emulator
    assert emulators.find_java() == java


def test_an_emulator_on_the_path_wins(nothing: Path) -> None:
    emulator = program(nothing / "bin" / "cbtemulator")
    assert emulators.find_bigtable() == emulator
