"""What the pages show runs as it stands there."""
