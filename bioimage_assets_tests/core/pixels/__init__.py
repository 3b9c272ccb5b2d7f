"""Tests of joins: aliases, ladder, report, payloads, locator and pixel proof."""
