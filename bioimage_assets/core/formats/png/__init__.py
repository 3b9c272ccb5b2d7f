"""PNG files of plates: headers, read into image records and chunk rows; pixels are never read."""
