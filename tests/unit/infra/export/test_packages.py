"""A missing package is named with the command that installs it."""

from __future__ import annotations

import re

import pytest

from infra.export import packages
from infra.export.packages import require
from shared.errors import MissingProgramError


def test_installed_packages_are_accepted() -> None:
    require("duckdb", "pyarrow", "google.cloud.storage")


def test_all_missing_packages_are_named_in_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)

    expected = "SQL need duckdb and Parquet files need pyarrow, found no such package: pip install duckdb pyarrow"
    with pytest.raises(MissingProgramError, match=f"^{re.escape(expected)}$"):
        require("duckdb", "pyarrow")


def test_a_missing_parent_package_is_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_parent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(packages, "find_spec", no_parent)

    with pytest.raises(MissingProgramError, match="pip install google-cloud-storage"):
        require("google.cloud.storage")
