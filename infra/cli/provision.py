"""The command `provision`, which creates and updates the resources of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from infra.cli import options
from shared.config import Settings

if TYPE_CHECKING:
    from infra.provision.plan import Change


@click.command()
@options.instance
@options.region
@options.config
@click.option("--dry-run", is_flag=True, help="Print the changes without making them; always exit with 0.")
@click.option("--force", is_flag=True, help="Also make changes that lose data.")
@click.option("--adopt", is_flag=True, help="Take over existing resources that no pipeline has marked.")
@options.as_json
def provision(
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    config: Path | None,
    dry_run: bool,
    force: bool,
    adopt: bool,
    as_json: bool,
) -> None:
    """Create or update topics, subscriptions, tables and the scheduler jobs, on the emulators or on Google Cloud.

    Prints one line per change: + created, ~ updated, ± recreated, - deleted, ! refused because it would lose data
    or because the resource lacks the pipeline's mark. Exits with 1 if a change was refused. A table keeps the retention
    that it has, unless the file of --config names it.

    Example: sluice provision --project-id my-project --instance-id my-instance --dry-run
    """
    from infra.deploy.config import load as load_deployment
    from infra.deploy.declared import cloud_resources
    from infra.local.stack_file import local_resources
    from infra.provision.provisioner import Provisioning

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id)
    settings = replace(settings, region=region or settings.region)
    deployment = load_deployment(config, settings.name)
    emulated = settings.emulated()
    if emulated:
        resources = local_resources(settings, deployment.retention, deployment.intraday.every_minutes)
    else:
        resources = cloud_resources(settings, deployment)
    with Provisioning(settings, resources, adopt=adopt) as provisioning:
        refused = provisioning.skipped(force=force)
        if dry_run:
            _print_changes(provisioning.changes, force=force, adopt=adopt, as_json=as_json)
        elif as_json:
            list(provisioning.apply(force=force))
            _print_changes(provisioning.changes, force=force, adopt=adopt, as_json=True)
        else:
            _print_changes(refused, force=force, adopt=adopt, as_json=False)
            for change in provisioning.apply(force=force):
                click.echo(change.line(force=force, adopt=adopt))
        if not provisioning.changes and not as_json:
            click.echo("no changes")
        for note in provisioning.notes:
            click.echo(note, err=True)
    if refused and not dry_run:
        raise click.exceptions.Exit(1)


def _print_changes(changes: Sequence[Change], *, force: bool, adopt: bool, as_json: bool) -> None:
    if as_json:
        options.print_json([_change_as_json(change, force=force, adopt=adopt) for change in changes])
        return
    for change in changes:
        click.echo(change.line(force=force, adopt=adopt))


def _change_as_json(change: Change, *, force: bool, adopt: bool) -> dict[str, Any]:
    return {
        "action": change.action,
        "what": change.title,
        "text": change.text,
        "loses": change.loses,
        "refused": bool(change.refusal(force=force, adopt=adopt)),
    }


COMMANDS = (provision,)
