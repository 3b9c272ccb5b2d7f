"""A root compared with what its manifest claims: files, rows, bytes."""
