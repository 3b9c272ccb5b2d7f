"""Tests of virtual plates: planning, documents, writers and readers."""
