"""One fresh staple per certificate: asked for, verified, kept, and handed to every handshake."""
