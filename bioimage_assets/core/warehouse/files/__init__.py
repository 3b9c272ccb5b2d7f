"""Where a warehouse root is kept: a local folder or a bucket."""
