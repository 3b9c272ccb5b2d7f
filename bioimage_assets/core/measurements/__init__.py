"""Output of measurement tools into one single-cell table per plate."""
