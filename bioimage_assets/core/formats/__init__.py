"""Bytes of each store format into the model."""
