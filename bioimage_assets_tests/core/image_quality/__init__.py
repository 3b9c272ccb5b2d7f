"""Tests of the measures of image quality, their flags and their table."""
