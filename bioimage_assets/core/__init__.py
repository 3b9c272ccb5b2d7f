"""The pure part of the project: scanning, tables, storage, joins and profiling, free of Dagster."""
