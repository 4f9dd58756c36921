"""The tables of the deployment file besides those of the functions."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from infra.deploy.iam import address
from infra.provision.resources import INTERVALS, RETENTION_TABLES
from shared.toml_tables import Problem

# A new account name (https://cloud.google.com/iam/docs/service-accounts-create) or the address of an existing account.
_ACCOUNT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]|[^@\s,]+@[a-z0-9.-]+\.gserviceaccount\.com")
_CHANNEL = re.compile(r"projects/[^/]+/notificationChannels/[^/]+")
# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_OBJECT = re.compile(rf"gs://{_BUCKET.pattern}/\S+")
# https://cloud.google.com/dataflow/quotas#compute-engine-quotas
_MAX_DATAFLOW_WORKERS = 1_000
_RETENTION = re.compile(r"([1-9]\d{0,4})d")


class Alerts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The table `[alerts]`: the notification channels of incidents."""

    notification_channels: list[str]

    def check(self) -> None:
        """Raise Problem for an invalid channel name."""
        for channel in self.notification_channels:
            if not _CHANNEL.fullmatch(channel):
                raise Problem("alerts.notification_channels", channel, "projects/PROJECT/notificationChannels/NUMBER")


class TableSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The tables `[tables.NAME]`: how long a Bigtable table keeps data."""

    retention: str

    @property
    def age(self) -> timedelta | None:
        """The age up to which cells are kept; None for all."""
        match = _RETENTION.fullmatch(self.retention)
        return timedelta(days=int(match[1])) if match else None

    def check(self, name: str) -> None:
        """Raise Problem for another table or an invalid retention."""
        if name not in RETENTION_TABLES:
            raise Problem("tables", name, f"one of the tables {', '.join(RETENTION_TABLES)}")
        if self.age is None and self.retention != "forever":
            raise Problem(f"tables.{name}.retention", self.retention, 'days such as "30d", or "forever"')


class Metrics(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The table `[metrics]`: whether the bundle of ingest contains the OTLP exporter."""

    otlp: bool = False


class Dataflow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The table `[dataflow]`: when and how days go to Dataflow instead of the function `aggregate`."""

    from_events: int
    template: str
    staging: str
    image: str
    service_account: str
    max_workers: int

    def check(self) -> None:
        """Raise Problem for an invalid value."""
        if self.from_events < 0:
            raise Problem("dataflow.from_events", self.from_events, "a number of events, or 0 for never")
        if not 1 <= self.max_workers <= _MAX_DATAFLOW_WORKERS:
            raise Problem("dataflow.max_workers", self.max_workers, f"1 to {_MAX_DATAFLOW_WORKERS:,}")
        if not self.from_events:
            return
        for key in ("template", "staging"):
            if not _OBJECT.fullmatch(getattr(self, key)):
                raise Problem(f"dataflow.{key}", getattr(self, key), "gs://BUCKET/PATH")
        if "/" not in self.image:
            expected = "an image such as REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE:TAG"
            raise Problem("dataflow.image", self.image, expected)
        check_account("dataflow.service_account", self.service_account)

    def variables(self, project: str) -> dict[str, str]:
        """Return the environment variables of the function `aggregate`."""
        return {
            "SLUICE_DATAFLOW_FROM_EVENTS": str(self.from_events),
            "SLUICE_DATAFLOW_TEMPLATE": self.template,
            "SLUICE_DATAFLOW_STAGING": self.staging,
            "SLUICE_DATAFLOW_IMAGE": self.image,
            "SLUICE_DATAFLOW_SERVICE_ACCOUNT": address(self.service_account, project),
            "SLUICE_DATAFLOW_MAX_WORKERS": str(self.max_workers),
        }


class Intraday(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The table `[intraday]`: how often the current day is computed; 0 for never."""

    every_minutes: int = 0

    def check(self) -> None:
        """Raise Problem for another interval."""
        if self.every_minutes not in (0, *INTERVALS):
            expected = f"0, or an interval that divides the day: {', '.join(map(str, INTERVALS))}"
            raise Problem("intraday.every_minutes", self.every_minutes, expected)


def check_account(key: str, account: str) -> None:
    """Raise Problem for what is neither the name nor the address of an account."""
    if not _ACCOUNT.fullmatch(account):
        raise Problem(key, account, "a name of 6 to 30 of a-z, 0-9 and -, or an address, NAME@....gserviceaccount.com")


def check_bucket(key: str, bucket: str) -> None:
    """Raise Problem for an impossible name of a bucket."""
    if not _BUCKET.fullmatch(bucket):
        raise Problem(key, bucket, "the name of a bucket without gs://, of 3 to 222 of a-z, 0-9, _, . and -")
