"""Bigtable tables, column families and GC rules: create, compare, update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import grpc
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import BigtableTableAdminGrpcTransport
from google.cloud.bigtable_admin_v2.types import ColumnFamily, CreateTableRequest, ModifyColumnFamiliesRequest
from google.cloud.bigtable_admin_v2.types import GcRule as GcRuleMessage
from google.cloud.bigtable_admin_v2.types import Table as TableMessage

from infra.provision import marks
from infra.provision.google_api import BIGTABLE, Caller, translate_errors
from infra.provision.plan import Change, kept_ages, plan_owned, plan_table
from infra.provision.resource_types import GcRule, Table
from infra.provision.resources import RESOURCES, Resources
from shared.config import Settings
from shared.names import resource_name

_Modification = ModifyColumnFamiliesRequest.Modification


def provision_bigtable(settings: Settings, resources: Resources = RESOURCES) -> list[str]:
    """Create the missing tables; returns a line for each table created.

    Existing tables aren't compared, so each table takes one call.

    Raises:
        SettingsError: the caller lacks permission, or the instance doesn't exist.
        StoreUnavailableError: the service doesn't answer.
    """
    with open_bigtable(settings, resources) as tables:
        changes = [change for table in tables.resources.tables for change in plan_table(table, None)]
        return [f"{change.title} {change.text}" for change in changes if tables.create(change)]


@contextmanager
def open_bigtable(settings: Settings, resources: Resources) -> Iterator[Tables]:
    """Connect to the table administration of Google's Bigtable or of the emulator."""
    if settings.bigtable_emulator:
        with grpc.insecure_channel(settings.bigtable_emulator) as channel:
            transport = BigtableTableAdminGrpcTransport(channel=channel)
            yield Tables(settings, resources, BigtableTableAdminClient(transport=transport))
        return
    with translate_errors("Bigtable", settings, BIGTABLE):
        admin = BigtableTableAdminClient()
    with admin:
        yield Tables(settings, resources, admin)


class Tables:
    """The tables of an instance.

    Attributes:
        resources: the declared resources, under the names of the pipeline.
        notes: the GC rules that `plan` accepted with another age than declared.
        admin: Google's client.
    """

    def __init__(self, settings: Settings, resources: Resources, admin: BigtableTableAdminClient) -> None:
        self._instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
        self._owner = settings.name
        self.resources = resources.named(settings.name)
        self._caller = Caller(settings, BIGTABLE)
        self.admin = admin
        self.notes: list[str] = []

    def plan(self, *, adopt: bool = False) -> list[Change]:
        """Read the existing tables and return the changes they need; `adopt` marks unmarked ones."""
        changes = []
        for table in self.resources.tables:
            existing = self._families(table.name)
            if existing is None:
                changes += plan_table(table, None)
                continue
            found = marks.owner_in_families(existing)
            existing.pop(table.mark, None)
            planned = plan_table(table, existing)
            changes += plan_owned("table", table.name, planned, owner=self._owner, found=found, adopt=adopt)
            self.notes += kept_ages(table, existing)
        return changes

    def retention(self, table: str) -> timedelta | None:
        """Return the age up to which an existing table certainly keeps cells; None without a limit.

        Args:
            table: its name without that of the pipeline.
        """
        families = self._families(resource_name(self._owner, table)) or {}
        return min((rule.age for rule in families.values() if rule.age is not None), default=None)

    def create(self, change: Change) -> bool:
        """Create a table; returns False if it exists."""
        request = table_message(self._instance, _declared_table(change))
        return self._caller.create(change.title, self.admin.create_table, request=request)

    def apply(self, change: Change) -> None:
        """Apply a change."""
        if change.action == "adopt":
            mark = marks.family(self._owner)
            rule = Table(change.name, {}, mark=mark).all_families[mark]
            self._modify(change, _Modification(id=mark, create=ColumnFamily(gc_rule=_rule_message(rule))))
            return
        if change.kind == "table":
            self.create(change)
            return
        (family,) = change.keys
        if change.wanted is None:
            modification = _Modification(id=family, drop=True)
        else:
            column = ColumnFamily(gc_rule=_rule_message(_declared_rule(change)))
            modification = (
                _Modification(id=family, create=column)
                if change.action == "create"
                else _Modification(id=family, update=column, update_mask={"paths": ["gc_rule"]})
            )
        self._modify(change, modification)

    def _modify(self, change: Change, modification: ModifyColumnFamiliesRequest.Modification) -> None:
        request = ModifyColumnFamiliesRequest(
            name=f"{self._instance}/tables/{change.name}",
            modifications=[modification],
            # Bigtable warns about changes that lose data in replicated tables; --force already confirmed those.
            ignore_warnings=bool(change.loses),
        )
        self._caller.call(change.title, self.admin.modify_column_families, request=request)

    def _families(self, table: str) -> dict[str, GcRule] | None:
        get = partial(self.admin.get_table, name=f"{self._instance}/tables/{table}")
        message = self._caller.find(f"table {table}", get)
        if message is None:
            return None
        return {name: gc_rule(column.gc_rule) for name, column in sorted(message.column_families.items())}


def gc_rule(rule: GcRuleMessage) -> GcRule:
    """Convert a GC rule of Bigtable; a rule that `GcRule` can't represent becomes text."""
    if "max_num_versions" in rule:
        return GcRule(versions=rule.max_num_versions)
    if "max_age" in rule:
        return GcRule(age=rule.max_age)
    if "union" in rule:
        limits = [gc_rule(each) for each in rule.union.rules]
        versions = [each.versions for each in limits if each.versions is not None]
        ages = [each.age for each in limits if each.age is not None]
        if len(versions) == len(ages) == 1 and len(limits) == 2:
            return GcRule(versions[0], ages[0])
    if "union" in rule or "intersection" in rule:
        return GcRule(other=" ".join(str(rule).split()))
    return GcRule()


def table_message(instance: str, wanted: Table) -> CreateTableRequest:
    """Return the request that creates a table in an instance."""
    families = {name: ColumnFamily(gc_rule=_rule_message(rule)) for name, rule in wanted.all_families.items()}
    return CreateTableRequest(
        parent=instance,
        table_id=wanted.name,
        table=TableMessage(column_families=families),
        initial_splits=[CreateTableRequest.Split(key=key) for key in wanted.splits],
    )


def _rule_message(rule: GcRule) -> GcRuleMessage | None:
    limits = [] if rule.versions is None else [GcRuleMessage(max_num_versions=rule.versions)]
    limits += [] if rule.age is None else [GcRuleMessage(max_age=rule.age)]
    if len(limits) < 2:
        return limits[0] if limits else None
    # A cell is deleted as soon as one of the two rules applies.
    return GcRuleMessage(union=GcRuleMessage.Union(rules=limits))


def _declared_table(change: Change) -> Table:
    if not isinstance(change.wanted, Table):
        raise TypeError(change)
    return change.wanted


def _declared_rule(change: Change) -> GcRule:
    if not isinstance(change.wanted, GcRule):
        raise TypeError(change)
    return change.wanted
