"""Events, rejected events and aggregates of days as Parquet files, and SQL over them."""
