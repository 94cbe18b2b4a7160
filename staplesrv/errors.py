"""The errors that staplesrv raises, split by whose fault they are.

`OperatorError` is mended in a file or an option, `ResponderError` at the responder or in the network between. What a
TLS client does wrong is counted and never raised; what is none of these is our bug and keeps its traceback.
"""

from __future__ import annotations


class StaplesrvError(Exception):
    """The root of every error that staplesrv raises on purpose."""


class OperatorError(StaplesrvError):
    """A file, key or option that can't be used; the operator can mend it.

    At start the program prints this as one line and ends; on a reload what ran before goes on.

    Args:
        where: The file, option or address at fault.
        problem: What is wrong with it.
        advice: What to do about it.
        key: The configuration key inside `where`, if there is one.
    """

    def __init__(self, where: str, problem: str, advice: str, *, key: str = "") -> None:
        super().__init__(where, problem, advice, key)
        self.where = where
        self.problem = problem
        self.advice = advice
        self.key = key

    def __str__(self) -> str:
        place = f"{self.where}: {self.key}" if self.key else self.where
        return " ".join(f"{place}: {self.problem}; {self.advice}".split())


class NotIssuedBy(StaplesrvError):
    """A certificate is not the issuer of another one: the name or the signature does not fit.

    Args:
        subject: The certificate's subject, RFC 4514 text.
        issuer: The subject of what was taken for its issuer.
    """

    def __init__(self, subject: str, issuer: str) -> None:
        super().__init__(subject, issuer)
        self.subject = subject
        self.issuer = issuer

    def __str__(self) -> str:
        return f"{self.subject} was not issued by {self.issuer}"


class ResponderError(StaplesrvError):
    """A responder gave no answer, or one that can't be used; the staple held so far is kept or dropped by rule."""
