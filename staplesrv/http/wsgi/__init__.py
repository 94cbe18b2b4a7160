"""WSGI applications (PEP 3333) behind an exchange, in threads, whatever the HTTP version."""
