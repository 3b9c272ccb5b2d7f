"""IO managers for Iceberg and for Parquet warehouse roots."""
