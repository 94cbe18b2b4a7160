"""The rules of OCSP: pure functions and frozen values. No I/O, no clock, no Twisted."""
