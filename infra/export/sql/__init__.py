"""SQL over the tables through DuckDB, without a server."""
