"""A URI or a plate becomes image rows and chunk rows; pixels are never read."""
