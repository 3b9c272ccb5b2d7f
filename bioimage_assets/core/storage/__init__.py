"""One door to everything that is stored, in the Iceberg catalog, in the warehouse root or as a page."""
