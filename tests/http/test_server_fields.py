"""Server and Date."""

from __future__ import annotations

from staplesrv.http.server_fields import ServerFields


def test_date() -> None:
    """The date is the wall clock's, in whole seconds, also when that steps back."""
    now = [784_111_777.9]
    fields = ServerFields(lambda: now[0])
    assert fields.lines() == b"Server: staplesrv\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    now[0] += 0.2
    assert fields.fields() == ((b"server", b"staplesrv"), (b"date", b"Sun, 06 Nov 1994 08:49:38 GMT"))
    now[0] -= 3600
    assert b"07:49:38" in fields.lines()


def test_made_once_a_second() -> None:
    """Within a second the same bytes come again."""
    fields = ServerFields(lambda: 1.5)
    assert fields.lines() is fields.lines()
