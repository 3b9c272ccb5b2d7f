"""Sensors that watch roots for stores and measurements."""
