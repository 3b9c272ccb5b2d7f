"""The canonical tables and their schemas: the model as Arrow."""
