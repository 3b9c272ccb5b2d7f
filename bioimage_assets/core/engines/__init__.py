"""Reductions over the plates of datasets and campaigns, each written once and run by an existing engine (polars, Spark)."""
