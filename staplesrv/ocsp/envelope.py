"""Read the bytes of a response: DER from end to end, successful, of the basic type (RFC 6960 §4.2.1)."""

from __future__ import annotations

from typing import Final, NamedTuple

from cryptography.hazmat import asn1
from cryptography.x509 import ocsp

from staplesrv.ocsp.asn1 import BASIC_RESPONSE, ENUMERATED, BasicResponse, Response
from staplesrv.ocsp.rejection import RejectReason, ResponseRejected
from staplesrv.ocsp.text import one_line

SUCCESSFUL: Final = b"\x00"
ERROR_STATUSES: Final = {
    b"\x01": RejectReason.MALFORMED_REQUEST,
    b"\x02": RejectReason.INTERNAL_ERROR,
    b"\x03": RejectReason.TRY_LATER,
    b"\x05": RejectReason.SIG_REQUIRED,
    b"\x06": RejectReason.UNAUTHORIZED,
}
"""OCSPResponseStatus, RFC 6960 §4.2.1; 4 is not used."""


class ParsedResponse(NamedTuple):
    """One response in two shapes: cryptography's, and ours for what cryptography does not show."""

    response: ocsp.OCSPResponse
    basic: BasicResponse


def parse_response(response_der: bytes) -> ParsedResponse:
    """Parse a response; nothing is verified.

    Args:
        response_der: The whole response, DER.

    Raises:
        ResponseRejected: it is not DER, not successful, or not basic.
    """
    try:
        basic_der = _basic_der(asn1.decode_der(Response, response_der))
        return ParsedResponse(ocsp.load_der_ocsp_response(response_der), asn1.decode_der(BasicResponse, basic_der))
    except ValueError as error:
        # cryptography says where in the structure, in the words of its parser.
        raise ResponseRejected(RejectReason.MALFORMED, one_line(str(error))) from error


def _basic_der(outer: Response) -> bytes:
    if outer.status.tag_bytes != ENUMERATED:
        raise ResponseRejected(RejectReason.MALFORMED, "it is no OCSP response")
    status = bytes(outer.status.data)
    # Bytes beside an error status have nothing to say: RFC 6960 §4.2.1 forbids them.
    if status in ERROR_STATUSES:
        raise ResponseRejected(ERROR_STATUSES[status], "the responder answers with an error")
    if status != SUCCESSFUL:
        raise ResponseRejected(RejectReason.MALFORMED, f"unknown response status {one_line(status.hex())}")
    if outer.response is None:
        raise ResponseRejected(RejectReason.MALFORMED, "successful, and nothing in it")
    if outer.response.kind != BASIC_RESPONSE:
        detail = f"the response is of type {one_line(outer.response.kind.dotted_string)}"
        raise ResponseRejected(RejectReason.NOT_BASIC, detail)
    return outer.response.response
