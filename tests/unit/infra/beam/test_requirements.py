"""The lock of Beam's environment fits the generated code, the workers' image and what the workers install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.samples import ROOT

FOLDER = ROOT / "infra" / "beam"


def pinned(file: str) -> dict[str, str]:
    """Return the version of each package in a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (FOLDER / file).read_text(), re.MULTILINE))


def parts(version: str) -> list[int]:
    return list(map(int, version.split(".")))


@pytest.mark.parametrize("path", sorted((ROOT / "shared").rglob("*_pb2.py")), ids=lambda path: path.name)
def test_generated_code_is_not_newer_than_the_protobuf_of_beam(path: Path) -> None:
    """Protobuf refuses code that a newer protoc generated."""
    (generated,) = re.findall(r"^# Protobuf Python Version: (\S+)$", path.read_text(), re.MULTILINE)

    assert parts(generated) <= parts(pinned("requirements.txt")["protobuf"])


def test_the_image_of_the_workers_has_the_version_of_beam() -> None:
    (version,) = re.findall(
        r"^FROM apache/beam_python3\.11_sdk:(\S+)$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE
    )

    assert version == pinned("requirements.txt")["apache-beam"]


def test_workers_install_the_versions_of_the_driver() -> None:
    assert pinned("worker-requirements.txt").items() <= pinned("requirements.txt").items()
