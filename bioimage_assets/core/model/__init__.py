"""Nouns of the domain: plates, images, chunks and scans. No I/O."""
