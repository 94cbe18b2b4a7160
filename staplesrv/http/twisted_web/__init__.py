"""Twisted Web's resources behind an exchange, whatever the HTTP version."""
