"""Seeing how a server staples, from inside and from outside."""
