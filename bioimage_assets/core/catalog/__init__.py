"""Arrow to and from Apache Iceberg."""
