"""Folders of one plate's TIFFs, grouped into fields of view by file names and vendor sidecars."""
