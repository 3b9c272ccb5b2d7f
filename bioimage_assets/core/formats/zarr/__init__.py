"""Zarr v2 and v3 documents, chunk grids, chunk keys and shard indexes (bytes → model)."""
