"""The `staple:` endpoint. An instance and nothing else: whatever a dropin imports, every `twistd` run pays for."""

from staplesrv.tls.endpoint_parser import StapleEndpointParser

staple_endpoint = StapleEndpointParser()
