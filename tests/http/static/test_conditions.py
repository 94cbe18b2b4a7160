"""Conditional requests, in the order of RFC 9110 §13.2.2."""

from __future__ import annotations

import pytest
from fake_exchange import request
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.http.fields import Fields
from staplesrv.http.static.conditions import Outcome, Validators, evaluate, same_state

NOW = 1_800_000_000.0
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
THEN = b"Sun, 06 Nov 1994 08:49:37 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"
VALIDATORS = Validators(b'"tag"', 784_111_777)

GO_ON, NOT_MODIFIED, FAILED = Outcome


def outcome(fields: Fields, validators: Validators = VALIDATORS) -> Outcome:
    """What comes of a GET with these fields."""
    return evaluate(request(fields=fields), validators, NOW)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), GO_ON),
        # §13.1.1: strong comparison.
        (((b"if-match", b'"tag"'),), GO_ON),
        (((b"if-match", b"*"),), GO_ON),
        (((b"if-match", b'"a", "tag"'),), GO_ON),
        (((b"if-match", b'"a"'), (b"if-match", b'"tag"')), GO_ON),
        (((b"if-match", b'"other"'),), FAILED),
        (((b"if-match", b'W/"tag"'),), FAILED),
        (((b"if-match", b"tag"),), FAILED),
        (((b"if-match", b""),), FAILED),
        # §13.1.2: weak comparison.
        (((b"if-none-match", b'"tag"'),), NOT_MODIFIED),
        (((b"if-none-match", b'W/"tag"'),), NOT_MODIFIED),
        (((b"if-none-match", b'w/"tag"'),), GO_ON),
        (((b"if-none-match", b"*"),), NOT_MODIFIED),
        (((b"if-none-match", b'"a,b" ,, W/"c" , "tag",'),), NOT_MODIFIED),
        (((b"if-none-match", b'"a"'), (b"if-none-match", b'"tag"')), NOT_MODIFIED),
        (((b"if-none-match", b'"other"'),), GO_ON),
        (((b"if-none-match", b'"Tag"'),), GO_ON),
        (((b"if-none-match", b"tag"),), GO_ON),
        (((b"if-none-match", b'"tag" "tag"'),), GO_ON),
        (((b"if-none-match", b'"x", *'),), GO_ON),
        # §13.1.3.
        (((b"if-modified-since", THEN),), NOT_MODIFIED),
        (((b"if-modified-since", AFTER),), NOT_MODIFIED),
        (((b"if-modified-since", BEFORE),), GO_ON),
        (((b"if-modified-since", b"yesterday"),), GO_ON),
        (((b"if-modified-since", THEN), (b"if-modified-since", THEN)), GO_ON),
        # §13.1.4.
        (((b"if-unmodified-since", THEN),), GO_ON),
        (((b"if-unmodified-since", AFTER),), GO_ON),
        (((b"if-unmodified-since", BEFORE),), FAILED),
        (((b"if-unmodified-since", b"yesterday"),), GO_ON),
        # §13.2.2: what is looked at first, and what then counts no more.
        (((b"if-match", b'"tag"'), (b"if-unmodified-since", BEFORE)), GO_ON),
        (((b"if-none-match", b'"other"'), (b"if-modified-since", THEN)), GO_ON),
        (((b"if-none-match", b'"tag"'), (b"if-modified-since", BEFORE)), NOT_MODIFIED),
        (((b"if-none-match", b'"tag"'), (b"if-match", b'"other"')), FAILED),
        (((b"if-none-match", b'"tag"'), (b"if-unmodified-since", BEFORE)), FAILED),
        (((b"if-match", b'"tag"'), (b"if-none-match", b'"tag"')), NOT_MODIFIED),
        (((b"if-unmodified-since", THEN), (b"if-modified-since", THEN)), NOT_MODIFIED),
        # §13.1.5: not without a range.
        (((b"if-range", b'"other"'),), GO_ON),
    ],
)
def test_conditions_are_evaluated_in_order(fields: Fields, expected: Outcome) -> None:
    """If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since."""
    assert outcome(fields) is expected


def test_without_a_date_there_is_no_condition_on_it() -> None:
    """RFC 9110 §13.1.3 and §13.1.4: the field is ignored where no modification date is available."""
    validators = Validators(b'"tag"', None)
    assert outcome(((b"if-modified-since", AFTER),), validators) is GO_ON
    assert outcome(((b"if-unmodified-since", BEFORE),), validators) is GO_ON
    assert not same_state(request(fields=((b"if-range", AFTER),)), validators, NOW)


@pytest.mark.parametrize(
    ("value", "same"),
    [
        (b'"tag"', True),
        (b'W/"tag"', False),
        (b'"other"', False),
        (b'"tag", "other"', False),
        (b"*", False),
        (b"tag", False),
        (THEN, True),
        (BEFORE, False),
        (AFTER, False),
    ],
)
def test_a_range_is_of_the_state_that_the_client_has(value: bytes, same: bool) -> None:  # noqa: FBT001 - a table
    """RFC 9110 §13.1.5: one strong tag, or the very date."""
    assert same_state(request(fields=((b"if-range", value),)), VALIDATORS, NOW) is same


def test_without_if_range_any_state_will_do() -> None:
    """RFC 9110 §14.2."""
    assert same_state(request(), VALIDATORS, NOW)


def test_the_date_of_a_file_just_written_proves_nothing() -> None:
    """RFC 9110 §8.8.2.2: it might change once more in its second."""
    asked = request(fields=((b"if-range", THEN),))
    assert not same_state(asked, VALIDATORS, 784_111_778.0)
    assert same_state(asked, VALIDATORS, 784_111_778.5)


FIELD = st.sampled_from([b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"])


@given(st.lists(st.tuples(FIELD, st.binary(max_size=30) | st.text('W/"a, *', max_size=20).map(str.encode))))
def test_conditions_may_say_anything(fields: list[tuple[bytes, bytes]]) -> None:
    """No value makes evaluation fail, and none but the tag itself or `*` a 304."""
    found = outcome(tuple(fields))
    if found is NOT_MODIFIED:
        assert any(name == b"if-none-match" and (b'"tag"' in value or value == b"*") for name, value in fields)
    same_state(request(fields=tuple(fields)), VALIDATORS, NOW)


@given(st.integers(0, 5000))
def test_reading_a_list_takes_its_time_once(count: int) -> None:
    """A list that almost is one is given up without going back and forth."""
    assert outcome(((b"if-none-match", b'"a",' * count + b"x"),)) is GO_ON
    assert outcome(((b"if-none-match", b", \t" * count + b"x"),)) is GO_ON
