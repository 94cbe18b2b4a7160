"""Files of a folder: small ones from memory, large ones in pieces; conditions, ranges and precompressed neighbours."""
