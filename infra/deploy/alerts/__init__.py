"""The log-based metrics and the alerting policies of a pipeline, from the templates in this folder."""

from __future__ import annotations

import json
from collections import UserDict
from pathlib import Path
from string import Template
from typing import Any

from infra.provision import marks
from shared.errors import SourceError
from shared.names import resource_name

_TEMPLATES = Path(__file__).parent
_METRICS = "metrics"
_LOAD = "load"  # the alerts of the optional function


def metrics(name: str) -> dict[str, dict[str, Any]]:
    """Return the log-based metrics of a pipeline by their names; the description has the pipeline's mark."""
    found = {}
    for metric in _filled(_TEMPLATES / _METRICS, name).values():
        found[metric["name"]] = metric | {"description": marks.marked_text(metric["description"], name)}
    return found


def policies(name: str, *, loads: bool = False) -> dict[str, dict[str, Any]]:
    """Return the alerting policies of a pipeline by their label `alert`; the label `sluice` is the pipeline.

    Args:
        name: of the pipeline.
        loads: also those of the function `load`.
    """
    labels = {marks.LABEL: name}
    filled = _filled(_TEMPLATES, name) | (_filled(_TEMPLATES / _LOAD, name) if loads else {})
    return {key: policy | {"userLabels": labels | {"alert": key}} for key, policy in filled.items()}


def metric_file(build: Path, metric: str) -> Path:
    """Return the file of a metric in the folder of the bundles."""
    return build / "alerts" / _METRICS / f"{metric}.json"


def policy_file(build: Path, key: str) -> Path:
    """Return the file of a policy in the folder of the bundles."""
    return build / "alerts" / f"{key}.json"


def write_files(build: Path, name: str) -> Path:
    """Write the files of all metrics and policies of a pipeline for gcloud, and return their folder.

    Raises:
        SourceError: a file can't be written.
    """
    files = {metric_file(build, metric): content for metric, content in metrics(name).items()}
    files |= {policy_file(build, key): content for key, content in policies(name, loads=True).items()}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SourceError(f"{error.filename or build}: can't be written: {error.strerror}") from None
    return build / "alerts"


class _Template(Template):
    """A template whose placeholders are `${name}`, `${metrics}`, or resources such as `${events-ingest}`."""

    idpattern = r"[a-z][a-z-]*"


class _Names(UserDict[str, str]):
    """The values of the placeholders: the name of the pipeline, the prefix of its metrics, and its resources."""

    def __init__(self, name: str) -> None:
        # PromQL replaces the hyphens of a metric's name by underscores, so names have underscores alone.
        super().__init__({"name": name, "metrics": name.replace("-", "_")})

    def __missing__(self, resource: str) -> str:
        return resource_name(self["name"], resource)


def _filled(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return the contents of the templates in a folder by the names of the files."""
    paths = sorted(folder.glob("*.json"))
    return {path.stem: json.loads(_Template(path.read_text("utf-8")).substitute(_Names(name))) for path in paths}
