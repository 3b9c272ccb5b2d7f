"""Files of one committed state of a table become Arrow data."""
