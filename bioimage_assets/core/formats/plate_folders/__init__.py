"""Folders of one plate's TIFFs: file names and vendor sidecars become fields of view."""
