"""Sources: read records from CSV and JSON files, compressed or not."""
