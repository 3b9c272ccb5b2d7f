"""The seeds' functions that cross rooms: scan, join, export."""
