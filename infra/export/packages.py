"""Optional packages of the export."""

from __future__ import annotations

from importlib.util import find_spec

from shared.errors import MissingProgramError

# Import name and package of each, and what needs it.
_PACKAGES = {
    "pyarrow": ("pyarrow", "Parquet files"),
    "duckdb": ("duckdb", "SQL"),
    "google.cloud.storage": ("google-cloud-storage", "buckets"),
}


def require(*modules: str) -> None:
    """Check that optional packages are installed.

    Raises:
        MissingProgramError: a package isn't installed; the text names the command that installs all that are missing.
    """
    missing = [_PACKAGES[module] for module in modules if not _installed(module)]
    if missing:
        packages = " ".join(package for package, _ in missing)
        purposes = " and ".join(f"{purpose} need {package}" for package, purpose in missing)
        raise MissingProgramError(f"{purposes}, found no such package: pip install {packages}")


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False
