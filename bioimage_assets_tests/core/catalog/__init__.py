"""Tests of the Iceberg catalog layer, on real catalogs."""
