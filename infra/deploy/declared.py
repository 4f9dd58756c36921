"""The resources of a deployment: declared ones, adapted to the deployment file and to the deployed functions."""

from __future__ import annotations

from infra.deploy.config import Deployment
from infra.deploy.iam import PUSH, address
from infra.provision.functions import function_urls
from infra.provision.resources import LOAD, PUSHED, RESOURCES, Resources
from shared.config import Settings


def cloud_resources(settings: Settings, deployment: Deployment) -> Resources:
    """Return the resources of a project on Google Cloud, whose subscriptions push to the deployed functions.

    Raises:
        SettingsError: the caller may not read the functions.
        StoreUnavailableError: the Cloud Functions API doesn't answer.
    """
    account = address(deployment.accounts[PUSH.name], settings.project_id)
    resources = RESOURCES.with_retention(deployment.retention).with_intraday(deployment.intraday.every_minutes)
    pushed = PUSHED
    if deployment.load.bucket:
        resources, pushed = resources.with_loads(), (*PUSHED, LOAD)
    resources = resources.with_push(function_urls(settings, pushed), account)
    for name, function in deployment.pushed.items():
        resources = resources.with_topic(name, function.topic)
    return resources
