"""The gcloud commands that fix a subscription. Pure."""

from __future__ import annotations

from google.pubsub_v1.types import Subscription

from infra.deploy.gcloud import Command, gcloud

_SUBSCRIPTIONS = ("pubsub", "subscriptions")
_AGENT = "serviceAccount:service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com"


class Commands:
    """Commands for one subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        _, self._project, _, self._name = subscription.name.split("/")

    def update(self, **flags: str | int | bool) -> Command:
        """Return the command that changes settings."""
        return gcloud(*_SUBSCRIPTIONS, "update", self._name, **flags, project=self._project)

    def push(self, endpoint: str) -> Command:
        """Return the command that pushes to an endpoint with a token."""
        return self.update(push_endpoint=endpoint, push_auth_service_account="ACCOUNT")

    def recreate(self, topic: str) -> tuple[Command, ...]:
        """Return the commands that delete the subscription and create it on a topic, with the recommended settings."""
        flags: dict[str, str | int | bool] = {
            "topic": topic,
            "ack_deadline": 600,
            "message_retention_duration": "7d",
            "expiration_period": "never",
            "min_retry_delay": "10s",
            "max_retry_delay": "600s",
        }
        if endpoint := self._subscription.push_config.push_endpoint:
            account = self._subscription.push_config.oidc_token.service_account_email
            flags |= {"push_endpoint": endpoint, "push_auth_service_account": account or "ACCOUNT"}
        if filter_text := self._subscription.filter:
            flags["message_filter"] = filter_text
        if dead_letter_topic := self._subscription.dead_letter_policy.dead_letter_topic:
            flags |= {"dead_letter_topic": dead_letter_topic, "max_delivery_attempts": 100}
        return (
            gcloud(*_SUBSCRIPTIONS, "delete", self._name, project=self._project),
            gcloud(*_SUBSCRIPTIONS, "create", self._name, **flags, project=self._project),
        )

    def add_dead_letters(self) -> tuple[Command, ...]:
        """Return the commands that create a dead-letter topic, keep its messages, and use it."""
        topic = self._dead_letter_topic
        return (
            *self.create_dead_letter_topic(),
            self.update(dead_letter_topic=topic, max_delivery_attempts=100),
            gcloud(
                *("pubsub", "topics", "add-iam-policy-binding", topic),
                **{"member": _AGENT, "role": "roles/pubsub.publisher", "project": self._project},
            ),
            gcloud(
                *_SUBSCRIPTIONS,
                *("add-iam-policy-binding", self._name),
                **{"member": _AGENT, "role": "roles/pubsub.subscriber", "project": self._project},
            ),
        )

    def create_dead_letter_topic(self) -> tuple[Command, ...]:
        """Return the commands that create the dead-letter topic and the subscription that keeps its messages."""
        create = gcloud("pubsub", "topics", "create", self._dead_letter_topic, project=self._project)
        return create, self.keep_dead_letters()

    def keep_dead_letters(self) -> Command:
        """Return the command that creates the subscription that keeps dead letters."""
        return gcloud(
            *(*_SUBSCRIPTIONS, "create", f"{self._name}-dead-letter-keep"),
            topic=self._dead_letter_topic,
            message_retention_duration="31d",
            expiration_period="never",
            project=self._project,
        )

    @property
    def _dead_letter_topic(self) -> str:
        declared = self._subscription.dead_letter_policy.dead_letter_topic
        return declared or f"projects/{self._project}/topics/{self._name}-dead-letter"
