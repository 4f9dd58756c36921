"""The places that an erasure doesn't reach come with commands of the pipeline's own resources."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from infra.erase.unreached import copies
from shared.config import Settings
from tests.support.commands import exists

MOMENT = datetime(2024, 1, 15, 10, tzinfo=UTC)


def test_the_commands_name_the_resources_of_the_pipeline() -> None:
    commands = [
        shlex.join(command) for each in copies(Settings("p", "i", name="shop"), MOMENT) for command in each.commands
    ]

    assert "gcloud pubsub subscriptions describe shop-events-ingest --project=p" in commands
    assert (
        "gcloud pubsub subscriptions seek shop-events-dead-letter-keep --time=2024-01-15T10:00:00Z --project=p"
        in commands
    )
    assert "gcloud bigtable backups list --instance=i --project=p" in commands


def test_the_buckets_of_loaded_objects_are_named_with_their_deleted_versions() -> None:
    found = copies(Settings("p", "i"), MOMENT, ["drop", "more"])
    named = [each for each in found if "objects of the bucket" in each.where]

    assert [each.where.split(" that ")[0] for each in named] == [
        "objects of the bucket drop",
        "objects of the bucket more",
    ]
    assert list(map(shlex.join, named[1].commands)) == [
        "gcloud storage ls --all-versions 'gs://more/**' --project=p",
        "gcloud storage ls --soft-deleted 'gs://more/**' --project=p",
    ]
    assert found[-1].where == "the other files that events came from, and exports"
    assert copies(Settings("p", "i"), MOMENT)[-1].where == "the files that events came from, and exports"


def test_the_commands_of_sluice_exist() -> None:
    own = [
        command for each in copies(Settings("p", "i"), MOMENT) for command in each.commands if command[0] == "sluice"
    ]

    assert own
    assert all(exists(list(words)) for _, *words in own)
