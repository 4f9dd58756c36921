"""The days of `events`, `rejected` and `aggregates` as Arrow record batches."""
