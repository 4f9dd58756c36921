"""Data calls of the Bigtable emulator: mutations and reads."""
