"""The name of a pipeline, and the names of its resources. Several pipelines share a project under different names."""

from __future__ import annotations

import re

from shared.errors import SettingsError

DEFAULT_NAME = "sluice"
# The shortest limit is that of service accounts, 6 to 30 characters (https://cloud.google.com/iam/docs/service-accounts-create).
# Tables allow 50 (https://cloud.google.com/bigtable/docs/reference/admin/rpc), functions 63.
MAX_ACCOUNT_LENGTH = 30
_LONGEST_ACCOUNT = "aggregate"
MAX_NAME_LENGTH = MAX_ACCOUNT_LENGTH - len(f"-{_LONGEST_ACCOUNT}")
# Google reserves topics that begin with "goog" (https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names).
_NAME = re.compile(rf"(?!goog)[a-z]([a-z0-9-]{{0,{MAX_NAME_LENGTH - 2}}}[a-z0-9])?")


def check_name(name: str) -> str:
    """Return a valid name of a pipeline; SettingsError for any other."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"SLUICE_NAME (or --name): found {name!r}, expected up to {MAX_NAME_LENGTH} of a-z, 0-9 and -, with a "
            'letter first, a letter or digit last, and not "goog" first; the names of service accounts contain it, and '
            f"have up to {MAX_ACCOUNT_LENGTH} characters"
        )
    return name


def resource_name(name: str, resource: str) -> str:
    """Return the name of a pipeline's resource; the resources of the default pipeline have no prefix."""
    return resource if name == DEFAULT_NAME else f"{name}-{resource}"


def account_name(name: str, account: str) -> str:
    """Return the name of a pipeline's service account; a prefix keeps it apart from accounts of other software."""
    return f"{name}-{account}"
