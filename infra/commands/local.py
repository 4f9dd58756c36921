"""Commands for your own machine: run, up, bundle, doctor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from infra.commands import options
from shared.config import Settings, contract_path
from shared.contract import load

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@options.source(required=False)
@options.contract
@click.option("--report", type=click.Path(path_type=Path), help="Write the figures to this JSON file as well.")
def run(source: str | None, form: str, contract: Path | None, report: Path | None) -> None:
    """Run the whole loop once on Google's emulators and show what came of it.

    Example: sluice run --source data/sample_events.csv --report report.json
    """
    from rich.console import Console

    from infra.progress import Bar
    from infra.run import run_loop

    loaded = load(contract_path(contract))
    reader = options.open_source(source or str(ROOT / "data"), form, loaded)
    options.writable(report)
    console = options.console()
    with Bar(Console(stderr=True), "starting", None) as bar:
        run_loop(reader, loaded, console, bar, report)


@click.command()
@options.contract
@click.option("--bigtable-port", type=click.IntRange(1, 65535), help="Port of the Bigtable emulator. [a free one]")
@click.option("--pubsub-port", type=click.IntRange(1, 65535), help="Port of the Pub/Sub emulator. [a free one]")
@click.option("--scheduler-port", type=click.IntRange(1, 65535), help="Port of Cloud Scheduler. [a free one]")
@click.option("--ingest-port", type=click.IntRange(1, 65535), help="Port of the function `ingest`. [a free one]")
@click.option("--aggregate-port", type=click.IntRange(1, 65535), help="Port of the function `aggregate`. [a free one]")
def up(
    contract: Path | None,
    bigtable_port: int | None,
    pubsub_port: int | None,
    scheduler_port: int | None,
    ingest_port: int | None,
    aggregate_port: int | None,
) -> None:
    """Start the local stack and keep it until Ctrl-C: emulators, scheduler, functions, and the relay between them.

    Example: sluice up --bigtable-port 8086 --pubsub-port 8085
    """
    from infra.progress import show_figures
    from infra.stack import Stack

    chosen = contract_path(contract)
    load(chosen)
    ports = {
        "bigtable": bigtable_port,
        "pubsub": pubsub_port,
        "scheduler": scheduler_port,
        "ingest": ingest_port,
        "aggregate": aggregate_port,
    }
    with Stack(contract=chosen, ports={part: port for part, port in ports.items() if port}) as stack:
        stack.make_schedule()
        click.echo(stack.describe())
        click.echo("\nCtrl-C ends all of it.")
        with show_figures() as show:
            stack.wait(show)


@click.command()
@options.contract
@click.option("--build", type=click.Path(path_type=Path), default=Path("build"), show_default=True, help="Where to.")
def bundle(contract: Path | None, build: Path) -> None:
    """Make the folders that are deployed: each function with its copy of shared/ and its pinned requirements.

    Example: sluice bundle
    """
    from infra.bundle import digest, make_bundles

    chosen = contract_path(contract)
    load(chosen)
    for made in make_bundles(build, contract=chosen):
        click.echo(f"{made}  sha256 {digest(made)}")
    click.echo(f"deploy with SLUICE_CONTRACT=shared/contracts/{chosen.name}")


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
        from infra.cloud_doctor import examine as examine_cloud
        from infra.commands.cloud import not_emulated, target
        from infra.deployment import load as load_deployment
        from infra.differences import examine as examine_by_clients
        from infra.gcloud import answer

        settings = Settings.from_environment(project_id=project_id, instance_id=instance_id, contract=contract)
        settings = replace(settings, region=region or settings.region)
        not_emulated(settings)
        where = target(settings, load_deployment(config))
        findings = list(examine_cloud(where, answer, clients=lambda: examine_by_clients(settings)))
    else:
        from infra.doctor import examine

        findings = examine(contract_path(contract))
    if as_json:
        options.print_json(findings)
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.what}: {finding.text}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


COMMANDS = (run, up, bundle, doctor)
