"""Certificates, and the TLS connections that show them together with their staples."""
