"""Configured access to settings, catalog, warehouse and DuckDB."""
