"""Tables of text, however they are written: delimiters, decimal commas, encodings, packings, words for nothing."""
