"""What is behind the TLS, through Twisted Web: folders of files and resources, by host."""
