"""The commands of `staplesrv`: check, verify and config."""
