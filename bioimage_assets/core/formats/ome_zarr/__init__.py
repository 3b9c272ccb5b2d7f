"""OME-Zarr 0.1 to 0.6: images, labels, plates and bioformats2raw groups (Zarr nodes → image records)."""
