"""Scanning: the image rows and chunk rows of a URI or a plate; pixels are never read."""
