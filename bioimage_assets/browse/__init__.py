"""The local server behind `bioimage-assets browse`: stored tables and original pixels in, pages and JSON for one browser out."""
