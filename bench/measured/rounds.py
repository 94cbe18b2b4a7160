"""Servers take turns at some kinds of work, and a table says how their costs compare."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bench.measured.processes import Core

S = TypeVar("S")
OURS = "staplesrv"


@dataclass(frozen=True, slots=True)
class Work(Generic[S]):
    """One kind of work.

    Args:
        kind: How `--only` calls it.
        title: How the table calls it.
        measure: Has a server do it; returns what it cost.
        limit: The ratio to the first server that is to be reached; None where there is nothing to reach.
        more: Whether more is better.
        fresh: Whether it needs a server that has done nothing yet, three rounds of which will do.
        turns: How often each server does it in one round: better a little several times, next to the others, than much
            at once, as the machine is not the same from one second to the next.
    """

    kind: str
    title: str
    measure: Callable[[S], float]
    limit: float | None
    more: bool = False
    fresh: bool = False
    turns: int = 1

    @property
    def most_rounds(self) -> float:
        """How many rounds are enough."""
        return 3 if self.fresh else float("inf")


@dataclass(slots=True)
class Seen(Generic[S]):
    """What the rounds have shown so far, per work and server.

    Args:
        names: The servers; the first is the one that others are compared to.
        costs: One figure per turn.
    """

    names: Sequence[str]
    costs: dict[tuple[Work[S], str], list[float]] = field(default_factory=dict)

    def take_turns(self, works: Sequence[Work[S]], rounds: int, once: Callable[[Work[S], str], float | None]) -> None:
        """Have each server do each work `turns` times in a round, another one first every time.

        Args:
            works: In order.
            rounds: How many.
            once: Measures; None where a server does not do such work.
        """
        for number in range(rounds):
            for work in works:
                if number < work.most_rounds:
                    for turn in range(work.turns):
                        self._take_turn(work, number + turn, once)

    def _take_turn(self, work: Work[S], number: int, once: Callable[[Work[S], str], float | None]) -> None:
        first = number % len(self.names)
        for name in [*self.names[first:], *self.names[:first]]:
            cost = once(work, name)
            if cost is not None:
                self.costs.setdefault((work, name), []).append(cost)

    def show(self, core: Core) -> bool:
        """Print the table, and how fair it is; return whether a ratio of ours misses its limit.

        Args:
            core: The servers'.
        """
        missed = False
        print(f"{'':31}{self.names[0]:>10}" + "".join(f"{name:>25}" for name in self.names[1:]) + f"{'to reach':>10}")
        for work in dict.fromkeys(work for work, _name in self.costs):
            line = f"{work.title:31}{statistics.median(self.costs[work, self.names[0]]):>10.4g}"
            for name in self.names[1:]:
                values = self.costs.get((work, name))
                line += self._compared(work, values) if values else f"{'-':>25}"
                if values and name == OURS:
                    missed |= self._misses(work, values)
            print(line + (f"{'-':>10}" if work.limit is None else f"{work.limit:>10.2f}"), flush=True)
        print(f"\nOthers had {core.others:.0%} of the servers' core meanwhile; a fair run has a quiet one.")
        return missed

    def _misses(self, work: Work[S], values: Sequence[float]) -> bool:
        if work.limit is None:
            return False
        ratio = self._ratio(work, values)
        return ratio < work.limit if work.more else ratio > work.limit

    def _compared(self, work: Work[S], values: Sequence[float]) -> str:
        best = max if work.more else min
        best_ratio = best(values) / best(self.costs[work, self.names[0]])
        return f"{statistics.median(values):>12.4g}{self._ratio(work, values):>6.2f} ({best_ratio:.2f})"

    def _ratio(self, work: Work[S], values: Sequence[float]) -> float:
        reference = self.costs[work, self.names[0]]
        return statistics.median(ours / theirs for ours, theirs in zip(values, reference, strict=True))
