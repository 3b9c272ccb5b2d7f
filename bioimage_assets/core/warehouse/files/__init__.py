"""The place a warehouse root lies in: a local folder or a bucket."""
