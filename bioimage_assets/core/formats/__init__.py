"""Readers of store formats: bytes into the model."""
