"""Profiles to their images, with accounting."""
