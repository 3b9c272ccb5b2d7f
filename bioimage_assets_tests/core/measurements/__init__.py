"""Tests of core.measurements."""
