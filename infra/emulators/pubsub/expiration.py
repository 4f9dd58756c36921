"""Deletion of inactive subscriptions (https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from infra.emulators.clock import Alarm, Clock
from infra.emulators.errors import ApiError
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.state import Subscription

_log = logging.getLogger(__name__)


class Expiration:
    """Deletes each subscription that is inactive for the ttl of its expiration policy.

    Args:
        broker: knows the subscriptions.
        clock: the time.
        delete: deletes a subscription; raises ApiError if the database can't be written.
    """

    def __init__(self, broker: Broker, clock: Clock, delete: Callable[[Subscription], None]) -> None:
        self._broker = broker
        self._delete = delete
        self._alarm = Alarm(clock, self._expire)

    def watch(self) -> None:
        """Wait for the first end of a ttl; call it after a ttl has changed."""
        expiries = (each.expires() for each in self._broker.state.subscriptions.values())
        self._alarm.set(min((moment for moment in expiries if moment is not None), default=None))

    def close(self) -> None:
        """Delete nothing from now on."""
        self._alarm.cancel()

    def _expire(self) -> None:
        now = self._broker.now()
        for subscription in list(self._broker.state.subscriptions.values()):
            if subscription.streams:
                subscription.active = now
            moment = subscription.expires()
            if moment is None or moment > now:
                continue
            try:
                self._delete(subscription)
            except ApiError as error:
                _log.error("%s expired, but isn't deleted: %s", subscription.config.name, error.text)
                subscription.active = now
            else:
                _log.info("%s was inactive for its expiration_policy.ttl and is deleted", subscription.config.name)
        self.watch()
