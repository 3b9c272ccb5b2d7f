"""Tests of AnnData files."""
