"""Cells chosen by a query become a folder of Parquet files with their pixels as OME-Arrow values."""
