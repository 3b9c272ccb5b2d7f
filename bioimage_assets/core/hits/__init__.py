"""Which treatments do something, from which dose on, and in which features."""
