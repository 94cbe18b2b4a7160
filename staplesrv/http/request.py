"""The head of a request, checked: what an application sees of it, whatever the HTTP version."""

from __future__ import annotations

from dataclasses import dataclass

from staplesrv.http.fields import Fields, combined


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its body. Whoever makes one has checked it: nothing in it has two readings.

    Args:
        method: As sent; methods are case-sensitive.
        target: The origin form, path and query as sent, or `*` (RFC 9112 §3.2). The absolute form was split into
            target and authority, also where it is HTTP/2's `:scheme` and `:path`.
        authority: Host and port as the client named them, from Host or `:authority`; empty where an HTTP/1.0 client
            named none.
        fields: In order, names in lower case. `host` is among them, whatever the version, and stands for the authority.
            No pseudo-headers.
        version: `1.0`, `1.1` or `2`.
        length: Of the body, in bytes; None where it is not known in advance. 0 where there is none.
        upgrade: What the client asks to change to, in lower case, like `websocket`: HTTP/1.1's Upgrade, where
            Connection names it, or RFC 8441's `:protocol`. Empty where it asks for nothing.
        expects_continue: The client waits for a 100 before it sends the body.
    """

    method: bytes
    target: bytes
    authority: bytes
    fields: Fields
    version: str = "1.1"
    length: int | None = 0
    upgrade: bytes = b""
    expects_continue: bool = False

    @property
    def line(self) -> bytes:
        """The request line, for a log; with a minor version, also where that has none."""
        return b"%s %s HTTP/%s" % (self.method, self.target, b"2.0" if self.version == "2" else self.version.encode())

    def field(self, name: bytes) -> bytes | None:
        """Return a field's value; of several with that name all of them, as one list. None where there is none.

        Args:
            name: In lower case.
        """
        return combined(self.fields, name)

    @property
    def path(self) -> bytes:
        """The target without its query, as sent: percent-encoded, not normalised."""
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes | None:
        """What follows the first question mark; None without one."""
        _, mark, query = self.target.partition(b"?")
        return query if mark else None
