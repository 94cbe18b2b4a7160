from __future__ import annotations

import pytest

from staplesrv.testing import Behaviour
from staplesrv.testing.behaviour import Script


def test_one_behaviour_stays() -> None:
    """A script of one behaviour is never used up."""
    script = Script(Behaviour.REVOKED)
    assert [script.advance() for _ in range(3)] == [Behaviour.REVOKED] * 3


def test_several_behaviours_are_used_up_in_turn() -> None:
    """First one, then the other, and the last one stays."""
    script = Script([Behaviour.HTTP_500, Behaviour.SILENCE, Behaviour.GOOD])
    assert script.current is Behaviour.HTTP_500
    assert [script.advance() for _ in range(4)] == ["http-500", "silence", "good", "good"]


def test_behaviours_go_by_name_too() -> None:
    """A name stands for its behaviour, alone and in a list."""
    assert Script("try-later").current is Behaviour.TRY_LATER
    assert Script(["http-503", Behaviour.GOOD]).advance() is Behaviour.HTTP_503


@pytest.mark.parametrize("behaviours", ["goood", ["good", "bda"], []])
def test_an_unknown_name_or_none_at_all_is_refused(behaviours: str | list[str]) -> None:
    """A misspelt behaviour is an error where it is set, not where it is used."""
    with pytest.raises(ValueError, match=r"valid|needed"):
        Script(behaviours)


def test_every_name_is_fit_for_a_command_line() -> None:
    """Names are lower case with hyphens, and no two are the same."""
    names = [behaviour.value for behaviour in Behaviour]
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in names)
    assert len(set(names)) == len(names)
