"""Settings of the project (environment) and of a dataset (``dataset.toml``)."""
