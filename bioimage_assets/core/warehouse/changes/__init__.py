"""One change of a table: planned, staged, committed, finished after a kill."""
