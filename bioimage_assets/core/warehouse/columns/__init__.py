"""Schemas of a table: how they grow, and how data are cast to them."""
