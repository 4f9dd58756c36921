"""The command `doctor`, which checks the setup and names the command that repairs each problem."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from infra.cli import options
from shared.config import Settings, contract_path


@click.command()
@options.contract
@options.instance
@options.region
@options.config
@click.option("--cloud", "in_cloud", is_flag=True, help="Check a project on Google Cloud.")
@options.as_json
def doctor(
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    config: Path | None,
    in_cloud: bool,
    as_json: bool,
) -> None:
    """Check programs, settings, contract, servers, tables and topics.

    With --cloud: check credentials, APIs, roles, resources and functions of a project. Each problem is shown with the
    command that repairs it. Exits with 1 if there is a problem.

    Example: sluice doctor
    """
    if not in_cloud and (project_id or instance_id or region or config):
        raise click.UsageError(
            "found --project-id, --instance-id, --region or --config without --cloud, expected --cloud with them"
        )
    if in_cloud:
        from infra.cli.deploy import require_cloud
        from infra.deploy.config import load as load_deployment
        from infra.deploy.gcloud import query
        from infra.deploy.steps import target
        from infra.doctor.cloud import examine as examine_cloud
        from infra.doctor.drift import examine as examine_by_clients
        from infra.provision.resources import RESOURCES

        settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=contract)
        settings = replace(settings, region=region or settings.region)
        require_cloud(settings)
        deployment = load_deployment(config)
        resources = RESOURCES.with_retention(deployment.retention)
        remedy = f"sluice provision --config {shlex.quote(str(config))}" if config else "sluice provision"
        clients = partial(examine_by_clients, settings, resources, remedy=remedy)
        findings = list(examine_cloud(target(settings, deployment), query, clients=clients))
    else:
        from infra.doctor.local import examine

        findings = examine(contract_path(contract))
    if as_json:
        options.print_json(findings)
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.what}: {finding.text}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


COMMANDS = (doctor,)
