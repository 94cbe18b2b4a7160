"""Failures of a fetch, and which of several is told."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from staplesrv.staples.failure import MAX_DETAIL, FailureKind, FetchFailed, most_telling, one_line

WAIT = timedelta(seconds=30)


class TestFetchFailed:
    """`FetchFailed` is data that fits into one line of a log."""

    def test_its_text_names_place_kind_and_detail(self) -> None:
        """The text is made of the fields."""
        failure = FetchFailed(FailureKind.NETWORK, "gone", url="http://ocsp.example/")
        assert str(failure) == "http://ocsp.example/: network: gone"
        assert str(FetchFailed(FailureKind.NO_ISSUER, "gone")) == "no-issuer: gone"

    def test_a_strangers_text_becomes_one_printable_line(self) -> None:
        """Line breaks, escape sequences and length don't get into the log."""
        detail = FetchFailed(FailureKind.NETWORK, "a\r\nb\x1b[31m" + "c" * 9999).detail
        assert detail.startswith("a b?[31mccc")
        assert len(detail) == MAX_DETAIL

    @given(st.text(max_size=2000))
    def test_any_text_becomes_one_line(self, text: str) -> None:
        """Whatever the text is, the line is printable and short."""
        assert one_line(text).isprintable()
        assert len(one_line(text)) <= MAX_DETAIL


class TestMostTelling:
    """`most_telling` picks what stands for an attempt with several failures."""

    def test_of_one_it_is_that_one(self) -> None:
        """A single failure is raised as it is."""
        failure = FetchFailed(FailureKind.NETWORK, "gone")
        assert most_telling([failure]) is failure

    def test_a_wrong_answer_tells_more_than_none(self) -> None:
        """An answer that does not verify is not hidden by a responder that is down."""
        down = FetchFailed(FailureKind.NETWORK, "gone", url="http://a/")
        wrong = FetchFailed(FailureKind.VERIFY_FAILED, "signed by X", url="http://b/", retry_after=WAIT, status=200)
        chosen = most_telling([down, wrong])
        assert (chosen.kind, chosen.url, chosen.retry_after, chosen.status) == (wrong.kind, wrong.url, WAIT, 200)
        assert chosen.detail == "signed by X; also http://a/: network: gone"

    def test_what_may_be_well_soon_comes_before_a_refusal(self) -> None:
        """A URL that refuses for good does not lengthen the wait for one that is down."""
        refused = FetchFailed(FailureKind.REFUSED, "404")
        down = FetchFailed(FailureKind.NETWORK, "gone")
        assert most_telling([refused, down]).kind == FailureKind.NETWORK

    def test_of_equals_the_first_counts(self) -> None:
        """Two of one kind: the first one's URL is told."""
        first, second = (FetchFailed(FailureKind.NETWORK, "gone", url=url) for url in ("http://a/", "http://b/"))
        assert most_telling([first, second]).url == "http://a/"

    @given(st.lists(st.sampled_from(FailureKind), min_size=1))
    def test_every_kind_has_its_place(self, kinds: list[FailureKind]) -> None:
        """Whatever the kinds, one of them is chosen."""
        assert most_telling([FetchFailed(kind, "x") for kind in kinds]).kind in kinds
