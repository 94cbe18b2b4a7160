"""What a client is refused for."""

from __future__ import annotations


class Refusal(Exception):
    """The client's bytes are no request that this server takes; it is told so, and the connection ends.

    Never logged: what is wrong is the client's to mend, and comes as often as it likes.

    Args:
        status: What to answer.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
