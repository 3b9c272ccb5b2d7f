"""Imports that must come first."""

# Pydantic resolves names of its members when it is imported; after ngio, which loads the ones of Zarr v3, the models of 0.4 get those.
import ome_zarr_models.v04  # noqa: F401
