"""Commands for a project on Google Cloud: deploy, destroy, cost."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli import options
from shared.config import EMULATOR_VARIABLES, Settings, contract_path
from shared.contracts.loader import load_contract
from shared.errors import SettingsError

if TYPE_CHECKING:
    pass

dry_run = click.option("--dry-run", is_flag=True, help="Print what would be done, as a script for bash; do nothing.")


@click.command()
@options.contract
@options.instance
@options.region
@options.config
@dry_run
def deploy(
    contract: Path | None,
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    config: Path | None,
    dry_run: bool,
) -> None:
    """Bundle both functions and deploy them with gcloud, with their accounts, roles, subscriptions and alerts.

    Example: sluice deploy --project-id my-project --instance-id my-instance --dry-run
    """
    from infra.deploy.bundle import make_bundles
    from infra.deploy.config import load as load_deployment
    from infra.deploy.gcloud import perform, script
    from infra.deploy.steps import BUILD_FOLDER, deploy_steps, target

    chosen = contract_path(contract)
    settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=chosen)
    deployment = load_deployment(config)
    load_contract(chosen)
    settings = replace(settings, region=region or settings.region)
    planned = list(deploy_steps(target(settings, deployment), deployment))
    if dry_run:
        click.echo(f"# `sluice bundle` makes the folders that the functions are deployed from, in {BUILD_FOLDER}")
        click.echo(script(planned), nl=False)
        return
    not_emulated(settings)
    for made in make_bundles(BUILD_FOLDER, contract=chosen):
        click.echo(f"bundle {made}")
    perform(planned, click.echo)
    click.echo("deployed; `sluice doctor --cloud` looks whether all is there")


@click.command()
@options.instance
@options.region
@options.config
@dry_run
@click.option("--tables", is_flag=True, help="The tables too, with all events in them.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--yes-delete-data", is_flag=True, help="Don't ask about the tables either.")
def destroy(
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    config: Path | None,
    dry_run: bool,
    tables: bool,
    yes: bool,
    yes_delete_data: bool,
) -> None:
    """Remove what provision and deploy have made; tables and their data only if told twice.

    Example: sluice destroy --project-id my-project --instance-id my-instance --dry-run
    """
    from infra.deploy.config import load as load_deployment
    from infra.deploy.gcloud import perform, script
    from infra.deploy.steps import target
    from infra.deploy.teardown import teardown_steps
    from infra.doctor.drift import credentials
    from infra.provision.teardown import remove_resources, resource_names

    settings = Settings.from_environment(project_id=project_id, instance_id=instance_id)
    settings = replace(settings, region=region or settings.region)
    emulated = settings.emulated()
    deployment = load_deployment(config)
    planned = [] if emulated else list(teardown_steps(target(settings, deployment)))
    if dry_run:
        if planned:
            click.echo(script(planned))
        click.echo("# then, through the APIs of Scheduler, Pub/Sub and Bigtable, what is there of:")
        for name in resource_names(tables=tables):
            click.echo(f"# {name}")
        return
    # Half of it is removed through the APIs, and gcloud would have removed the other half by then.
    if not emulated and not (found := credentials()).ok:
        raise SettingsError(f"{found.what}: {found.text}")
    where = f"{settings.project_id} on {'the emulators' if emulated else 'Google Cloud'}"
    if not yes:
        _confirm(f"This removes the pipeline from {where}. Type the project's name to go on", settings.project_id)
    if tables and not yes_delete_data:
        _confirm(
            f"This deletes the tables of {settings.instance_id} and every event in them, for good. "
            "Type the instance's name to go on",
            settings.instance_id,
        )
    perform(planned, click.echo)
    removed = remove_resources(settings, tables=tables)
    for line in removed:
        click.echo(line)
    if not removed:
        click.echo("nothing was there of job, topics, subscriptions" + (" and tables" if tables else ""))
    if not tables:
        click.echo("the tables stay, with what is in them; --tables removes them too")
    if not emulated:
        click.echo(f"the instance {settings.instance_id}, enabled APIs, logs and what was built stay: docs/deploy.md")


@click.command()
@click.option("--events-per-day", type=click.IntRange(1, 10**12), required=True, help="Events a day.")
@click.option("--bytes", "size", type=click.IntRange(1, 2**20), required=True, help="Bytes of an event as JSON.")
@options.batch_size()
@click.option("--days-stored", type=click.IntRange(1, 36_500), help="Days that events are kept. [that of the prices]")
@click.option("--prices", "file", type=click.Path(path_type=Path), help="Table of prices. [infra/prices.toml]")
@options.as_json
def cost(
    events_per_day: int, size: int, batch_size: int, days_stored: int | None, file: Path | None, as_json: bool
) -> None:
    """Estimate what a month costs, by part, and what packing events into messages saves.

    Example: sluice cost --events-per-day 10000000 --bytes 250
    """
    from infra.deploy.cost import PRICES, Workload, load, month, total, with_days_stored

    prices = load(file or PRICES)
    if days_stored is not None:
        prices = with_days_stored(prices, days_stored)
    packed, alone = (month(prices, Workload(events_per_day, size, each)) for each in (batch_size, 1))
    saved = total(alone) - total(packed)
    if as_json:
        options.print_json(
            {"date": prices.date, "region": prices.region, "parts": packed, "total": total(packed)}
            | {"one_event_a_message": {"parts": alone, "total": total(alone)}, "saved_by_packing": saved}
        )
        return
    for part in packed:
        click.echo(f"{part.name:<24}{part.dollars:>12,.2f}  {part.text}")
    click.echo(f"{'a month, US dollars':<24}{total(packed):>12,.2f}  list prices of {prices.region}, {prices.date}")
    if batch_size > 1:
        click.echo(f"{'one event a message':<24}{total(alone):>12,.2f}  packing saves {saved:,.2f}")


def _confirm(question: str, expected: str) -> None:
    try:
        typed = click.prompt(question, type=str)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        raise SettingsError("nobody there to ask, and nothing was removed; --yes goes on without") from None
    if typed.strip() != expected:
        raise SettingsError(f"found {typed!r}, expected {expected!r}; nothing was removed")


def not_emulated(settings: Settings) -> None:
    """Raise SettingsError if a service is an emulator."""
    for service, address in settings.emulators.items():
        variable = EMULATOR_VARIABLES[service]
        raise SettingsError(f"{variable}: found {address}, expected it unset: this command is for Google Cloud")


@click.command()
@options.contract
@click.option("--build", type=click.Path(path_type=Path), default=Path("build"), show_default=True, help="Where to.")
def bundle(contract: Path | None, build: Path) -> None:
    """Make the folders that are deployed: each function with its copy of shared/ and its pinned requirements.

    Example: sluice bundle
    """
    from infra.deploy.bundle import digest, make_bundles

    chosen = contract_path(contract)
    load_contract(chosen)
    for made in make_bundles(build, contract=chosen):
        click.echo(f"{made}  sha256 {digest(made)}")
    click.echo(f"deploy with SLUICE_CONTRACT=shared/contracts/{chosen.name}")


COMMANDS = (bundle, deploy, destroy, cost)
