"""Below `refresher`: how each certificate stands, when it is asked about, and what follows from what comes."""
