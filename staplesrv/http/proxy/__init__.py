"""The reverse proxy: requests go on to HTTP/1.1 backends, answers and tunnels come back."""
