"""Image-based profiling from pixels to profiles: scan, catalogue, join, quality control, normalise."""
