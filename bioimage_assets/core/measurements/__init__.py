"""Readers of measurement tools' output: one single-cell table per plate."""
