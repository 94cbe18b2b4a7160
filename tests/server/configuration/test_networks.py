"""Networks that the operator trusts."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from staplesrv.errors import OperatorError
from staplesrv.server.configuration.networks import read_networks
from staplesrv.server.configuration.place import Place

HERE = Place("a.toml")


def test_trusted_networks_are_read() -> None:
    """A single address is a network of one."""
    read = read_networks(["10.0.0.0/8", "::1"], "trusted", HERE)
    assert read == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    with pytest.raises(OperatorError, match="trusted"):
        read_networks(["10.0.0.1/8"], "trusted", HERE)
