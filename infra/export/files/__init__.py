"""The Parquet files of an export, in a folder or a bucket."""
