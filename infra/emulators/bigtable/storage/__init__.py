"""Storage of the Bigtable emulator: tables, column families and cells in SQLite."""
