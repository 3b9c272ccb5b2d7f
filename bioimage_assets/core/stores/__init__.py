"""The only rooms that open image stores."""
