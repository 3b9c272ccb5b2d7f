"""Model to Arrow: the canonical tables and their schemas."""
