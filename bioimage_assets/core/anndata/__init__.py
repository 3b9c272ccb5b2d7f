"""Stored tables as AnnData files (``.h5ad``, Zarr) and SpatialData stores."""
