"""Quality of each field and channel of a plate: pixels, or what CellProfiler measured on them, into measures and flags."""
