"""Releases: the tables of a project as they are, kept with checksums, versions and settings; and what differs between two."""
