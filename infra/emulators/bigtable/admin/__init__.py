"""Administration of the Bigtable emulator: tables, column families, and what clients ask of an instance."""
