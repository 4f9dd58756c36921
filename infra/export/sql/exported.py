"""Tables of an export in a folder, as datasets that DuckDB reads."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from infra.export.day_tables.tables import TABLES
from infra.export.files.day_files import FILE_NAME
from shared.errors import ExportError


def exported_tables(folder: Path, days: Collection[date] | None) -> dict[str, ds.Dataset]:
    """Return the exported tables of a folder by name.

    Args:
        folder: that `sluice export` wrote.
        days: that are read; None for all exported days.

    Raises:
        ExportError: the folder has no exported day among these, or a file can't be read.
    """
    wanted = None if days is None else set(map(str, days))
    tables: dict[str, ds.Dataset] = {}
    for name in TABLES:
        files = sorted(
            path
            for path in folder.glob(f"{name}/*=*/{FILE_NAME}")
            if wanted is None or path.parent.name.partition("=")[2] in wanted
        )
        if files:
            tables[name] = _dataset(files)
    if not tables:
        of_days = "" if days is None else " of these days"
        raise ExportError(f"{folder}: found no exported tables{of_days}, expected a folder that `sluice export` wrote")
    return tables


def _dataset(files: list[Path]) -> ds.Dataset:
    """Return the files of one table as a dataset with the columns of all of them."""
    keys = {path.parent.name.partition("=")[0] for path in files}
    try:
        schema = pa.unify_schemas([pq.read_schema(path).remove_metadata() for path in files])
        for key in sorted(keys):
            schema = schema.append(pa.field(key, pa.date32()))
        partitioning = ds.partitioning(pa.schema([pa.field(key, pa.date32()) for key in sorted(keys)]), flavor="hive")
        return ds.dataset(list(map(str, files)), schema=schema, format="parquet", partitioning=partitioning)
    except (pa.ArrowException, OSError) as error:
        raise ExportError(f"{files[0].parent.parent}: {error}") from None
