"""Deterministic synthetic Cell Painting plates with ground truth."""
