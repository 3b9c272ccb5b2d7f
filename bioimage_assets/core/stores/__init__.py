"""Opens stores: the only room that opens images."""
