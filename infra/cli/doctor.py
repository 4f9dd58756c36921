"""`sluice doctor`: look at what is there, and say what to do about what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from infra.cli import options
from shared.config import Settings, contract_path


@click.command()
@options.contract
@options.instance
@options.region
@options.config
@click.option("--cloud", "in_cloud", is_flag=True, help="Look at a project on Google Cloud.")
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
    """Look whether everything is there: programs, settings, contract, servers, tables, topics.

    With --cloud: credentials, APIs, roles, resources and functions of a project, each with the command that mends it.

    Example: sluice doctor
    """
    if not in_cloud and (project_id or instance_id or region or config):
        raise click.UsageError(
            "found --project-id, --instance-id, --region or --config without --cloud, expected it with them"
        )
    if in_cloud:
        from infra.cli.deploy import not_emulated
        from infra.deploy.config import load as load_deployment
        from infra.deploy.gcloud import query
        from infra.deploy.steps import target
        from infra.doctor.cloud import examine as examine_cloud
        from infra.doctor.drift import examine as examine_by_clients

        settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=contract)
        settings = replace(settings, region=region or settings.region)
        not_emulated(settings)
        where = target(settings, load_deployment(config))
        findings = list(examine_cloud(where, query, clients=lambda: examine_by_clients(settings)))
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
