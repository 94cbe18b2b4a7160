"""docs/testing.md says what is so: every snippet in it runs."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from staplesrv import testing
from staplesrv.testing import Behaviour
from staplesrv.testing.__main__ import arguments

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
TEXT = PAGE.read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_examples_come_out_as_they_say() -> None:
    """Every interactive example gives what stands below it."""
    examples = "".join(block for block in blocks("python") if block.startswith(">>>"))
    test = doctest.DocTestParser().get_doctest(examples, {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []
    results = doctest.DocTestRunner().run(test, out=said.append)
    assert results.attempted > 20
    assert results.failed == 0, "".join(said)


def test_the_test_case_runs(tmp_path: Path) -> None:
    """The test case of the page passes when trial runs it."""
    (block,) = (block for block in blocks("python") if not block.startswith(">>>"))
    (tmp_path / "test_page.py").write_text(block)
    ran = subprocess.run(
        [sys.executable, "-m", "twisted.trial", "test_page"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASSED (successes=1)" in ran.stdout


def test_the_commands_are_understood() -> None:
    """The program takes the options that the page shows."""
    (block,) = blocks("sh")
    command, switch = block.splitlines()
    chosen = arguments(shlex.split(command)[3:])
    assert (chosen.name, chosen.must_staple, chosen.lifetime) == (["example.org"], True, 120.0)
    assert "revoked" in switch
    assert switch.endswith("/behaviour")


def test_every_behaviour_is_named() -> None:
    """The table has each behaviour once."""
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| "))
    assert sorted(re.findall(r"`([a-z0-9-]+)`", table)) == sorted(Behaviour)


def test_what_is_public_can_be_imported() -> None:
    """Every name in `__all__` is there, and every class and function of them says what it does."""
    for name in testing.__all__:
        value = getattr(testing, name)
        assert value.__doc__ or not callable(value), name
