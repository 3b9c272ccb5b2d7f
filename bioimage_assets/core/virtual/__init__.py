"""Virtual plates: OME-Zarr plates made of references into the original files, without a copy of any pixel."""
