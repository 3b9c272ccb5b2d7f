"""Where the pixels of a profile row are, how to cut them out, and the proof that they are the right ones."""
