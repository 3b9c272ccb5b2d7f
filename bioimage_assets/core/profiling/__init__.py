"""Quality control and well profiles, done by the field's own libraries."""
