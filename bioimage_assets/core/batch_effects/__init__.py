"""Well profiles of a dataset without the effects of position and batch, and how much of these is left."""
