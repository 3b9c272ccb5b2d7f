"""Arrow to and from a Cytomining-compatible Parquet warehouse root."""
