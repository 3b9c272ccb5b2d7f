"""Watched roots into plates, by listing alone."""
