"""Load: ingest the objects that Cloud Storage announces, in ranges that each fit into one request."""
