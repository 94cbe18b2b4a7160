"""docs/operations.md names what there is: every key, and every metric."""

from __future__ import annotations

import re
from pathlib import Path

from ops.statuses import certificate, reloaded, status

from staplesrv.ops.metrics import families
from staplesrv.ops.status_document import document

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def section(heading: str) -> str:
    """What is below a heading."""
    return PAGE.split(f"### {heading}\n")[1].split("\n#")[0]


def first_cells(heading: str) -> list[str]:
    """What the first cells of the tables below a heading name in code, in order."""
    rows = re.findall(r"^\| (`[^|]*) \|", section(heading), re.MULTILINE)
    return [name for row in rows for name in re.findall("`(.+?)`", row)]


def test_every_key_of_the_status_is_there() -> None:
    """And no other one: the object's, then a certificate's."""
    found = document(status(certificate(), reload=reloaded()))
    keys = first_cells("Keys of `/status`")
    assert sorted(keys) == sorted([*found, *found["certificates"][0]])
    for name in ("last_reload", "workers", "connections", "requests"):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        assert set(found[name]) <= set(re.findall("`(.+?)`", row))


def test_every_metric_is_there() -> None:
    """With its labels, and no other one."""
    found = list(families(status()))
    assert sorted(first_cells("Metrics")) == sorted(family.name for family in found)
    for family in found:
        row = next(line for line in section("Metrics").splitlines() if f"`{family.name}`" in line.split(" | ")[0])
        labels = re.findall("`(.+?)`", row.split("|")[2])
        samples = list(family.samples)
        assert samples
        assert all(list(sample) == labels for sample, _ in samples)
