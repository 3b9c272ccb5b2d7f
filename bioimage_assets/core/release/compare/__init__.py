"""What differs between the tables of two releases, warehouse roots or projects."""
