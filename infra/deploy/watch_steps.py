"""The steps of `sluice deploy` that create log-based metrics and alerts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.deploy import alerts
from infra.deploy.gcloud import Action, Command, Lookup, Step, gcloud
from infra.provision.marks import LABEL


def find_policy(name: str, project: str, key: str) -> Command:
    """Return the command that looks up an alerting policy by its labels, since its name may be changed."""
    labels = f"userLabels.{LABEL}={name} AND userLabels.alert={key}"
    selection = {"filter": labels, "format": "value(name)"}
    return gcloud("alpha", "monitoring", "policies", "list", **selection, project=project)


def metric_steps(build: Path, name: str, project: str) -> Iterator[Step]:
    """Return the steps of the metrics; an existing one is replaced.

    Args:
        build: the folder of the bundles, which also has the files of metrics and alerts.
        name: of the pipeline.
        project: of the pipeline.
    """
    for metric in alerts.metrics(name):
        path = alerts.metric_file(build, metric)
        title = f"metrics: {metric}, from log lines"
        selection = {"filter": f"name={metric}", "format": "value(name)", "project": project}
        yield Lookup(title, "METRIC", gcloud("logging", "metrics", "list", **selection))
        for verb, condition in (("update", {"if_set": "METRIC"}), ("create", {"if_empty": "METRIC"})):
            command = gcloud("logging", "metrics", verb, metric, config_from_file=str(path), project=project)
            yield Action(title, command, **condition)


def policy_steps(build: Path, name: str, project: str, channels: list[str], *, loads: bool = False) -> Iterator[Step]:
    """Return the steps of the alerts. An existing policy only gets the configured channels, if there are any.

    Replacing it from its file would undo manual changes.

    Args:
        build: the folder of the bundles.
        name: of the pipeline.
        project: of the pipeline.
        channels: the names of the notification channels.
        loads: whether the function `load` is deployed.
    """
    channel_list = ",".join(channels)
    for key in alerts.policies(name, loads=loads):
        title = f"alerts: {key}"
        yield Lookup(title, "POLICY", find_policy(name, project, key))
        if channels:
            update = ("alpha", "monitoring", "policies", "update", "${POLICY}")
            command = gcloud(*update, set_notification_channels=channel_list, project=project)
            yield Action(title, command, if_set="POLICY")
        create = gcloud(
            *("alpha", "monitoring", "policies", "create"),
            policy_from_file=str(alerts.policy_file(build, key)),
            **({"notification_channels": channel_list} if channels else {}),
            project=project,
        )
        yield Action(title, create, if_empty="POLICY")
