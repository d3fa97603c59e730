# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring and printing. Contenders take turns, round by round, so that whatever else the machine
does meets all of them alike; what counts is medians and their ratios, never one absolute time."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

Contender = Callable[[], float]
"""Does the thing once and says what it took, in the unit of its figure."""

_NULL = os.open(os.devnull, os.O_RDWR)
WARM = 2
"""Rounds before those that count."""


@dataclasses.dataclass(frozen=True)
class Series:
    """What one contender took, round by round."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high


@dataclasses.dataclass(frozen=True)
class Goal:
    """A line of DESIGN section 9. `more`: the larger the better. `toward`: None where there is
    no further goal."""

    what: str
    value: float
    unit: str
    must: float
    toward: float | None = None
    more: bool = False

    def holds(self, limit: float) -> bool:
        return self.value >= limit if self.more else self.value <= limit

    def text(self) -> str:
        sign = ">=" if self.more else "<="
        parts = [f"must {sign} {self.must:g}{self.unit}: {_verdict(self.holds(self.must))}"]
        if self.toward is not None:
            parts.append(f"toward {self.toward:g}{self.unit}: {_verdict(self.holds(self.toward))}")
        return f"{self.what} {self.value:.3g}{self.unit}   ({'; '.join(parts)})"


def _verdict(held: bool) -> str:
    return "held" if held else "MISSED"


@dataclasses.dataclass
class Report:
    """One figure, ready to print. `skipped`: who could not take part, and why."""

    title: str
    unit: str
    series: list[Series] = dataclasses.field(default_factory=list)
    goals: list[Goal] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)

    def print(self) -> None:
        print(f"\n{self.title}   [{self.unit}]")
        width = max((len(each.name) for each in self.series), default=0)
        for each in self.series:
            low, high = each.quartiles
            print(
                f"  {each.name:<{width}}  {each.median:>9.3g}   "
                f"(quartiles {low:.3g} to {high:.3g}, {len(each.values)} rounds)"
            )
        for goal in self.goals:
            print(f"  -> {goal.text()}")
        for note in self.notes:
            print(f"     {note}")
        for who in self.skipped:
            print(f"  skipped: {who}")

    def as_json(self) -> str:
        data = {
            "title": self.title,
            "unit": self.unit,
            "series": [
                {
                    "name": each.name,
                    "median": each.median,
                    "quartiles": each.quartiles,
                    "rounds": len(each.values),
                }
                for each in self.series
            ],
            "goals": [
                dataclasses.asdict(goal)
                | {
                    "must_held": goal.holds(goal.must),
                    "toward_held": None if goal.toward is None else goal.holds(goal.toward),
                }
                for goal in self.goals
            ],
            "notes": self.notes,
            "skipped": self.skipped,
        }
        return json.dumps(data)


def interleave(
    contenders: Mapping[str, Contender], rounds: int, warm: int = WARM
) -> dict[str, Series]:
    """Every contender once a round, in an order that is shuffled anew for each."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(warm + rounds):
        random.shuffle(order)
        for name in order:
            value = contenders[name]()
            if number >= warm:
                taken[name].append(value)
    return {name: Series(name, tuple(values)) for name, values in taken.items()}


def timed(act: Callable[[], object]) -> float:
    """Milliseconds."""
    begin = time.perf_counter()
    act()
    return (time.perf_counter() - begin) * 1e3


def run(argv: Sequence[str], env: Mapping[str, str] | None = None, expect: int = 0) -> None:
    """Start a program, wait for its end. By posix_spawn(3): what we weigh does not count."""
    actions = [(os.POSIX_SPAWN_DUP2, _NULL, fd) for fd in (0, 1)]
    pid = os.posix_spawn(argv[0], list(argv), dict(env or os.environ), file_actions=actions)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != expect:
        raise SystemExit(f"{' '.join(argv)}: exit status {status}")


def command(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Contender:
    """A whole command as contender, in milliseconds from start to end."""
    return lambda: timed(lambda: run(argv, env))


def ratio(series: Mapping[str, Series], ours: str, theirs: str) -> float:
    """Of the medians."""
    return series[ours].median / series[theirs].median


def paired(series: Mapping[str, Series], ours: str, theirs: str) -> float:
    """The median of the ratios within a round: what changes slowly on the machine meets both."""
    both = zip(series[ours].values, series[theirs].values, strict=True)
    return statistics.median(one / other for one, other in both)


def said(notes: Iterable[str]) -> None:
    """What a long figure is doing, on stderr."""
    import sys

    for note in notes:
        print(f"     ... {note}", file=sys.stderr, flush=True)
