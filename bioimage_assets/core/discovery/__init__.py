"""Finding plates below watched roots, by listing alone."""
