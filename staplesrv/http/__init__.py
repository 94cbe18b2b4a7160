"""What is behind the TLS: HTTP/1.1 and HTTP/2 feed one kind of exchange to one kind of application."""
