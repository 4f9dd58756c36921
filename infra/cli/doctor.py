"""The commands `doctor`, which checks a setup and names the command that repairs each problem, and `smoke`."""

from __future__ import annotations

import asyncio
import shlex
from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace

from infra.cli import options
from shared.config import Settings, contract_path
from shared.contracts.loader import load_contract
from shared.errors import PermanentError
from shared.timestamps import now


@click.command()
@options.contract
@options.instance
@options.region
@options.config
@click.option("--cloud", "in_cloud", is_flag=True, help="Check a project on Google Cloud.")
@click.option(
    "--subscription",
    "subscriptions",
    multiple=True,
    help="Check only this Pub/Sub subscription, of any project: its full name, or a name of --project-id; repeatable.",
)
@options.as_json
def doctor(
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    config: Path | None,
    in_cloud: bool,
    subscriptions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check programs, settings, contract, servers, tables and topics.

    With --cloud: check credentials, APIs, roles, resources and functions of a project. Each problem is shown with the
    command that repairs it. Exits with 1 if there is a problem.

    Example: sluice doctor
    """
    if subscriptions:
        if in_cloud or contract or name or instance_id or region or config:
            raise click.UsageError("found --subscription with other options, expected only --project-id and --json")
        _check_subscriptions(subscriptions, project_id, as_json=as_json)
        return
    if not in_cloud and (name or project_id or instance_id or region or config):
        raise click.UsageError(
            "found --name, --project-id, --instance-id, --region or --config without --cloud, "
            "expected --cloud with them"
        )
    if in_cloud:
        from infra.cli.deploy import require_cloud
        from infra.deploy.config import load as load_deployment
        from infra.deploy.declared import cloud_resources
        from infra.deploy.gcloud import query
        from infra.deploy.steps import target
        from infra.doctor.cloud import examine as examine_cloud
        from infra.doctor.drift import examine as examine_by_clients

        settings = Settings.from_environment(
            name=name, project_id=project_id, instance_id=instance_id, contract=contract
        )
        settings = replace(settings, region=region or settings.region)
        require_cloud(settings)
        deployment = load_deployment(config, settings.name)
        declare = partial(cloud_resources, settings, deployment)
        remedy = f"sluice provision --config {shlex.quote(str(config))}" if config else "sluice provision"
        clients = partial(examine_by_clients, settings, declare, remedy=remedy)
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


def _check_subscriptions(names: tuple[str, ...], project_id: str | None, *, as_json: bool) -> None:
    """Check subscriptions and print the results; exit with 1 if there is an error or a warning."""
    from infra.doctor.subscriptions import examine

    if project_id is None and all("/" in each for each in names):
        project_id = "unused"
    results = list(examine(Settings.from_environment(project_id=project_id, instance_id="unused"), names))
    if as_json:
        options.print_json(results)
    for each in () if as_json else results:
        click.echo(f"{each.severity:<8} {each.subscription.rsplit('/', 1)[-1]}, {each.check}: {each.found}")
        if each.recommended:
            click.echo(f"         recommended: {each.recommended}")
        for command in each.commands:
            click.echo(f"         {command}")
    if any(each.is_problem for each in results):
        raise click.exceptions.Exit(1)


@click.command()
@click.option(
    "--event", type=click.Path(path_type=Path), help="File with one valid event. [generated from the contract]"
)
@click.option("--topic", help="Topic that the function ingest receives. [that of the pipeline, events]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds to wait until the event is stored.",
)
@options.contract
@options.instance
@options.region
@options.as_json
def smoke(
    event: Path | None,
    topic: str | None,
    timeout: float,
    contract: Path | None,
    name: str | None,
    project_id: str | None,
    instance_id: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Test a deployment: publish one event, wait until it is stored, compare it and remove it again.

    The event has an id of its own, the user sluice-smoke and the current time. Exits with 1 if it isn't stored as the
    contract says.

    Example: sluice smoke --timeout 120
    """
    from infra.batch.smoke import SmokeResult, smoke_test
    from infra.batch.smoke_event import make_event, read_template
    from shared.bigtable.client import Bigtable
    from shared.pubsub.publisher import Publisher

    settings = Settings.from_environment(name=name, project_id=project_id, instance_id=instance_id, contract=contract)
    settings = replace(settings, store_deadline=options.DEADLINE)
    made = make_event(
        load_contract(settings.contract, settings.mask_key), now(), read_template(event) if event else None
    )
    destination = topic or settings.resource("events")
    next_steps = _next_steps(settings, region or settings.region)

    async def run() -> SmokeResult:
        async with Bigtable(settings) as bigtable, Publisher(settings) as publisher:
            return await smoke_test(
                bigtable, publisher, made, topic=destination, timeout=timeout, next_steps=next_steps
            )

    result = asyncio.run(run())
    if as_json:
        options.print_json(result)
    elif result.problem:
        raise PermanentError(result.problem)
    else:
        click.echo(f"ok: {result.event_id} was published, stored after {result.seconds:.1f} s, compared and removed")
    if result.problem:
        raise click.exceptions.Exit(1)


def _next_steps(settings: Settings, region: str) -> str:
    """Return what shows why an event wasn't stored."""
    if settings.emulated("bigtable", "pubsub"):
        return "see the log of ingest, `sluice rejected` and `sluice doctor`"
    function = settings.resource("ingest")
    log = f"gcloud functions logs read {function} --gen2 --region={region} --project={settings.project_id}"
    return f"see the function's log (`{log}`), `sluice rejected` and `sluice doctor --cloud`"


COMMANDS = (doctor, smoke)
