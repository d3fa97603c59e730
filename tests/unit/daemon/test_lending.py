# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for news of the provider's port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from manager_stage import Stage

from netjail.daemon import lending


@dataclass(frozen=True)
class Lent:
    port: int | None

    def as_dict(self) -> dict[str, Any]:
        return {"port": self.port}


def test_the_answer_comes_at_once_where_something_else_is_known(started: Stage) -> None:
    nothing = started.ask("port.lent", profile="a").result
    assert (nothing["profile"], nothing["lent"]) == ("a", None)
    started.engine.lends["a"] = Lent(40001)
    told = started.ask("port.lent", profile="a", known=nothing["known"], wait=20).result
    assert told["lent"] == {"port": 40001}


def test_news_are_told_to_who_waits_for_that_profile_alone(started: Stage) -> None:
    started.engine.lends = {"a": Lent(40001), "b": Lent(1)}
    known = {name: started.ask("port.lent", profile=name).result["known"] for name in "ab"}
    waits = {
        name: started.ask("port.lent", profile=name, known=known[name], wait=20) for name in "ab"
    }
    started.engine.lends["a"] = Lent(40002)
    started.manager._keeper.lending.changed("a")
    assert waits["a"].result["lent"] == {"port": 40002}
    started.manager._keeper.lending.changed("a")
    started.until(lambda: started.ask("port.lent", profile="a").result is not None)
    assert not waits["b"].done


def test_it_is_answered_when_time_is_up_and_when_the_helper_ends(started: Stage) -> None:
    started.engine.lends["a"] = Lent(40001)
    known = started.ask("port.lent", profile="a").result["known"]
    assert started.ask("port.lent", profile="a", known=known, wait=0.05).result["known"] == known
    waits = started.ask("port.lent", profile="a", known=known, wait=20)
    started.until(lambda: bool(started.manager._keeper.lending._waiting))
    started.manager._keeper.lending.stop()
    assert waits.result["known"] == "", "nothing is known: the next helper is to be asked"


def test_too_many_are_answered_at_once(started: Stage) -> None:
    known = started.ask("port.lent", profile="a").result["known"]
    for _ in range(lending.WAITING_MAX):
        started.ask("port.lent", profile="a", known=known, wait=20)
    assert started.ask("port.lent", profile="a", known=known, wait=20).result["known"] == known
