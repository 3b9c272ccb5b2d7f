"""Samplesheets: the images of scanned plates as the tables that other pipelines start from."""
