"""Stored tables as AnnData files (``.h5ad``, Zarr), and with their images as SpatialData objects."""
