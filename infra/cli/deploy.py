"""Commands for a project on Google Cloud: bundle, deploy, destroy, cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec.structs import replace

from infra.cli import options
from shared.config import EMULATOR_VARIABLES, Settings, contract_path, pipeline_name
from shared.contracts.loader import load_contract
from shared.contracts.masks import VARIABLE
from shared.errors import SettingsError

if TYPE_CHECKING:
    from infra.deploy.config import Deployment
    from infra.deploy.cost.price_table import Edition
    from shared.contracts.model import Contract

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the steps as a bash script without running them.")


@click.command()
@options.contract
@options.instance
@options.region
@options.config
@_DRY_RUN
@click.option("--adopt", is_flag=True, help="Take over existing functions, metrics and accounts without a mark.")
def deploy(
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    config: Path | None,
    dry_run: bool,
    adopt: bool,
) -> None:
    """Bundle and deploy the functions with gcloud, with their service accounts, roles, subscriptions and alerts.

    Example: sluice deploy --project-id my-project --instance-id my-instance --dry-run
    """
    from infra.deploy import alerts
    from infra.deploy.bundle import make_bundles
    from infra.deploy.config import load as load_deployment
    from infra.deploy.gcloud import perform, script
    from infra.deploy.steps import BUILD_FOLDER, deploy_steps, target
    from infra.doctor.ownership import require_marks

    chosen = contract_path(contract)
    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=chosen)
    deployment = load_deployment(config, settings.name)
    _require_mask_secret(load_contract(chosen), deployment)
    settings = replace(settings, region=region or settings.region)
    planned = list(deploy_steps(target(settings, deployment, config, adopt=adopt), deployment))
    if dry_run:
        click.echo(f"# `sluice bundle` creates the bundles of the functions and the alerts in {BUILD_FOLDER}")
        click.echo(script(planned), nl=False)
        return
    require_cloud(settings)
    require_credentials()  # the next and the last step need them, besides those of gcloud
    require_marks(settings, tables=True)
    for folder in make_bundles(BUILD_FOLDER, contract=chosen, otlp=deployment.metrics.otlp):
        click.echo(f"bundle {folder}")
    alerts.write_files(BUILD_FOLDER, settings.name)
    perform(planned, click.echo)
    click.echo("deployed; `sluice doctor --cloud` checks the deployment")


def _require_mask_secret(contract: Contract, deployment: Deployment) -> None:
    """Check that the functions that store events get the key that the contract needs, from Secret Manager."""
    for name in ("ingest", "load"):
        if contract.hashed and name in deployment.functions and VARIABLE not in deployment.platform(name).secrets:
            raise SettingsError(
                f"{name}.secrets.{VARIABLE}: found nothing, expected a secret such as sluice-mask-key:latest in the "
                f"file of --config, since {contract.path} has mask = hash in fields.{contract.hashed[0]}"
            )


@click.command()
@options.instance
@options.region
@options.config
@_DRY_RUN
@click.option("--tables", is_flag=True, help="Also delete the tables with all events.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.option("--yes-delete-data", is_flag=True, help="Skip the confirmation for the tables.")
def destroy(
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    config: Path | None,
    dry_run: bool,
    tables: bool,
    yes: bool,
    yes_delete_data: bool,
) -> None:
    """Remove everything that `provision` and `deploy` create; tables only with --tables and a second confirmation.

    Example: sluice destroy --project-id my-project --instance-id my-instance --dry-run
    """
    from infra.deploy.config import load as load_deployment
    from infra.deploy.gcloud import perform, query, script
    from infra.deploy.steps import target
    from infra.deploy.teardown import teardown_steps
    from infra.doctor.ownership import check_region, require_marks
    from infra.provision.teardown import remove_resources, resource_names

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id)
    settings = replace(settings, region=region or settings.region)
    emulated = settings.emulated()
    deployment = load_deployment(config, settings.name)
    planned = [] if emulated else list(teardown_steps(target(settings, deployment)))
    if dry_run:
        if planned:
            click.echo(script(planned))
        click.echo("# then, through the APIs of Scheduler, Pub/Sub and Bigtable, the existing ones of:")
        for each in resource_names(settings, tables=tables):
            click.echo(f"# {each}")
        return
    # gcloud removes the first half of the resources. Without credentials for the APIs, the other half would stay.
    if not emulated:
        require_credentials()
        check_region(settings, query)
    require_marks(settings, tables=tables)
    where = f"{settings.project_id} on {'the emulators' if emulated else 'Google Cloud'}"
    if not yes:
        _confirm(f"This removes the pipeline from {where}. Type the project's name to continue", settings.project_id)
    if tables and not yes_delete_data:
        _confirm(
            f"This permanently deletes the tables of {settings.instance_id} and every event in them. "
            "Type the instance's name to continue",
            settings.instance_id,
        )
    perform(planned, click.echo)
    removed = remove_resources(settings, tables=tables)
    for line in removed:
        click.echo(line)
    if not removed:
        click.echo("found no jobs, topics, subscriptions" + (" or tables" if tables else ""))
    if not tables:
        click.echo("the tables stay with their data; --tables removes them too")
    if not emulated:
        click.echo(f"the instance {settings.instance_id}, enabled APIs, logs and built images stay: docs/deploy.md")


@click.command()
@click.option("--events-per-day", type=click.IntRange(1, 10**12), required=True, help="Number of events per day.")
@click.option("--bytes", "size", type=click.IntRange(1, 2**20), required=True, help="Size of an event as JSON.")
@options.batch_size()
@click.option("--days-stored", type=click.IntRange(1, 36_500), help="Days that events are kept. [of the price file]")
@click.option("--queries-per-day", type=click.IntRange(0, 10**12), help="Requests to the read API. [of the price file]")
@options.intraday_minutes
@click.option(
    "--loaded-gib-per-day", "loaded_gib", type=click.FloatRange(0), default=0, help="Plain size of loaded files. [0]"
)
@click.option(
    "--edition",
    type=click.Choice(["enterprise", "enterprise-plus"]),
    default="enterprise",
    show_default=True,
    help="Edition of the Bigtable instance.",
)
@click.option("--prices", "file", type=click.Path(path_type=Path), help="Price file. [infra/deploy/cost/prices.toml]")
@options.as_json
def cost(
    events_per_day: int,
    size: int,
    batch_size: int,
    days_stored: int | None,
    queries_per_day: int | None,
    intraday_minutes: int,
    loaded_gib: float,
    edition: Edition,
    file: Path | None,
    as_json: bool,
) -> None:
    """Estimate the costs of a month by service, and the savings from packing events into messages.

    Stored events grow until the retention. The items are those of a month in which all retained days are stored.

    Example: sluice cost --events-per-day 10000000 --bytes 250
    """
    from infra.deploy.cost.estimate import Workload, first_full_month, month, total
    from infra.deploy.cost.price_table import PRICES, load, with_days_stored, with_edition, with_queries

    prices = with_edition(load(file or PRICES), edition)
    if days_stored is not None:
        prices = with_days_stored(prices, days_stored)
    if queries_per_day is not None:
        prices = with_queries(prices, queries_per_day)
    work = Workload(events_per_day, size, batch_size, intraday_minutes=intraday_minutes, loaded_gib=loaded_gib)
    full = first_full_month(prices)
    packed, alone = month(prices, work), month(prices, msgspec.structs.replace(work, batch_size=1))
    saved = total(alone) - total(packed)
    if as_json:
        months = [{"month": number, "total": total(month(prices, work, number))} for number in range(1, full + 1)]
        options.print_json(
            {"date": prices.date, "region": prices.region, "parts": packed, "total": total(packed), "months": months}
            | {"one_event_a_message": {"parts": alone, "total": total(alone)}, "saved_by_packing": saved}
        )
        return
    for part in packed:
        click.echo(f"{part.name:<24}{part.dollars:>12,.2f}  {part.text}")
    older = prices.outdated()
    source = f"list prices of {prices.region}, {prices.date}{f' ({older})' if older else ''}"
    click.echo(f"{'a month, US dollars':<24}{total(packed):>12,.2f}  {source}")
    first = month(prices, work, 1)
    [stored] = [part for part in first if part.name == "Bigtable: storage"]
    growth = f"{stored.text} on average; all retained days from month {full} on"
    click.echo(f"{'the first month':<24}{total(first):>12,.2f}  {growth}")
    if batch_size > 1:
        click.echo(f"{'one event a message':<24}{total(alone):>12,.2f}  packing saves {saved:,.2f}")


def _confirm(question: str, expected: str) -> None:
    try:
        typed = click.prompt(question, type=str)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        raise SettingsError(
            "standard input: found no terminal, expected one for the confirmation or --yes; nothing was removed"
        ) from None
    if typed.strip() != expected:
        raise SettingsError(f"found {typed!r}, expected {expected!r}; nothing was removed")


def require_credentials() -> None:
    """Raise SettingsError without valid credentials for Google's clients."""
    from infra.doctor import drift

    if not (found := drift.credentials()).ok:
        raise SettingsError(f"{found.what}: {found.text}")


def require_cloud(settings: Settings) -> None:
    """Raise SettingsError if a service is an emulator."""
    for service, address in settings.emulators.items():
        variable = EMULATOR_VARIABLES[service]
        raise SettingsError(f"{variable}: found {address}, expected it unset: this command is for Google Cloud")


@click.command()
@options.contract
@options.name
@options.config
@click.option(
    "--build", type=click.Path(path_type=Path), default=Path("build"), show_default=True, help="Output folder."
)
def bundle(contract: Path | None, name: str | None, config: Path | None, build: Path) -> None:
    """Create the folders to deploy: each function with its copy of shared/ and its pinned requirements, and the alerts.

    Example: sluice bundle
    """
    from infra.deploy import alerts
    from infra.deploy.bundle import digest, make_bundles
    from infra.deploy.config import load as load_deployment

    chosen = contract_path(contract)
    load_contract(chosen)
    for folder in make_bundles(build, contract=chosen, otlp=load_deployment(config).metrics.otlp):
        click.echo(f"{folder}  sha256 {digest(folder)}")
    click.echo(alerts.write_files(build, pipeline_name(name)))
    click.echo(f"deploy with SLUICE_CONTRACT=shared/contracts/{chosen.name}")


COMMANDS = (bundle, deploy, destroy, cost)
