"""The keys of the deployment file that configure network, encryption, labels and secrets, for one function or all."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from infra.deploy.gcloud import pairs
from infra.provision.marks import LABEL
from shared.errors import SettingsError
from shared.toml_tables import Problem

_VARIABLE = re.compile(r"[A-Za-z_]\w*")
# Variables that the deployment sets; another value would not match the provisioned resources.
_RESERVED_VARIABLES = (
    "GCP_PROJECT_ID",
    "BIGTABLE_INSTANCE",
    "SLUICE_NAME",
    "SLUICE_CONTRACT",
    "SLUICE_CPU",
    "SLUICE_DAY_DEADLINE",
    "SLUICE_LOAD_DEADLINE",
    "BIGTABLE_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "CLOUD_SCHEDULER_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
)
# The settings below follow the checks of `gcloud functions deploy` 528.0.0, and its help:
# https://cloud.google.com/sdk/gcloud/reference/functions/deploy
_CONNECTOR = re.compile(r"(projects/[^/\s]+/locations/[^/\s]+/connectors/)?[a-z][a-z0-9-]{0,23}[a-z0-9]")
_KEY = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[\w-]+/cryptoKeys/[\w-]+", re.ASCII)
_REPOSITORY = re.compile(
    r"projects/[^/\s]+/locations/[^/\s]+/repositories/[a-z]([a-z0-9-]*[a-z0-9])?|[a-z0-9-]+-docker\.pkg\.dev/[^/\s]+/[^/\s]+"
)
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_SECRET = re.compile(r"(projects/[^/\s]+/secrets/)?[\w-]+:([1-9]\d*|latest)", re.ASCII)


class Platform(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The keys that are valid in `[all]` and in each function's table; an empty value is unset."""

    vpc_connector: str = ""
    egress_settings: Literal["", "private-ranges-only", "all"] = ""
    kms_key: str = ""
    docker_repository: str = ""
    labels: dict[str, str] = {}
    secrets: dict[str, str] = {}

    def check_platform(self, table: str) -> None:
        """Raise Problem for an invalid value of these keys."""
        for key, pattern, expected in (
            ("vpc_connector", _CONNECTOR, "the name of a connector, or projects/P/locations/L/connectors/NAME"),
            ("kms_key", _KEY, "projects/P/locations/L/keyRings/RING/cryptoKeys/KEY"),
            ("docker_repository", _REPOSITORY, "projects/P/locations/L/repositories/NAME"),
        ):
            value = getattr(self, key)
            if value and not pattern.fullmatch(value):
                raise Problem(f"{table}.{key}", value, expected)
        if LABEL in self.labels:
            raise Problem(f"{table}.labels.{LABEL}", self.labels[LABEL], "another label: --name sets this one")
        for label, value in self.labels.items():
            if not _LABEL.fullmatch(label) or not _LABEL_VALUE.fullmatch(value):
                expected = "up to 63 of a-z, 0-9, _ and -, in a name that begins with a letter, and in its value"
                raise Problem(f"{table}.labels.{label}", value, expected)
        for variable, value in self.secrets.items():
            check_variable(f"{table}.secrets.{variable}", variable, value)
            if not _SECRET.fullmatch(value):
                raise Problem(
                    f"{table}.secrets.{variable}", value, "SECRET:VERSION, where VERSION is a number or latest"
                )

    def overridden(self, own: Platform) -> Platform:
        """Return these keys, overridden by those that a function sets; labels and secrets are merged."""
        return Platform(
            vpc_connector=own.vpc_connector or self.vpc_connector,
            egress_settings=own.egress_settings or self.egress_settings,
            kms_key=own.kms_key or self.kms_key,
            docker_repository=own.docker_repository or self.docker_repository,
            labels={**self.labels, **own.labels},
            secrets={**self.secrets, **own.secrets},
        )

    def flags(self, region: str) -> dict[str, str]:
        """Return flags of `gcloud functions deploy` for the keys that are set; gcloud keeps the others as they are.

        Args:
            region: of the function.

        Raises:
            SettingsError: the KMS key is in another region, which gcloud refuses.
        """
        if self.kms_key and self.kms_key.split("/")[3] != region:
            raise SettingsError(f"kms_key: found {self.kms_key!r}, expected a key in {region}, as the functions")
        flags = {
            "vpc_connector": self.vpc_connector,
            "egress_settings": self.egress_settings,
            "kms_key": self.kms_key,
            "docker_repository": self.docker_repository,
            "update_labels": pairs(self.labels),
            "set_secrets": pairs(self.secrets),
        }
        return {name: value for name, value in flags.items() if value}


def check_variable(key: str, variable: str, value: str) -> None:
    """Raise Problem for a variable that the deployment sets, or that isn't a valid name."""
    if not _VARIABLE.fullmatch(variable) or variable in _RESERVED_VARIABLES or variable.startswith("X_GOOGLE_"):
        raise Problem(key, value, f"a variable other than {', '.join(_RESERVED_VARIABLES)} and X_GOOGLE_...")
