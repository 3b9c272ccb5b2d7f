"""Asset checks, per plate."""
