# SPDX-License-Identifier: GPL-3.0-or-later
"""What polkit was asked before the request came counts for that request, for a moment, or not at
all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netjail.daemon import soon
from netjail.daemon.authorise import Need, Peer, Verdict
from netjail.daemon.soon import Asked
from netjail.errors import NetjailError

PEER = Peer(1000, 1000, 4242, 99)
NEEDS = (Need("org.netjail.run", "vpn", "wireguard"),)
NO = NetjailError("not-authorised", "no")


class Gate:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Need, bool]] = []
        self.verdicts: list[Verdict] = []
        self.cancelled = 0

    def refuses(self, peer: Peer) -> NetjailError | None:
        raise NotImplementedError

    def ask(
        self, peer: Peer, need: Need, interactive: bool, verdict: Verdict
    ) -> Callable[[], None]:
        assert peer is PEER
        self.asked.append((need, interactive))
        self.verdicts.append(verdict)

        def cancel() -> None:
            self.cancelled += 1

        return cancel

    def answer(self, error: NetjailError | None) -> None:
        self.verdicts.pop(0)(error)


@pytest.fixture
def gate() -> Gate:
    return Gate()


class Said(list[NetjailError | None]):
    def __call__(self, error: NetjailError | None) -> None:
        self.append(error)


def test_the_early_question_disturbs_nobody(gate: Gate) -> None:
    Asked(gate, PEER, NEEDS)
    assert gate.asked == [(NEEDS[0], False)]


@pytest.mark.parametrize("first", ["answer", "request"])
def test_a_yes_is_asked_for_once(gate: Gate, first: str) -> None:
    asked, said = Asked(gate, PEER, NEEDS), Said()
    if first == "answer":
        gate.answer(None)
    asked.authorise(NEEDS, True, said)
    if first == "request":
        assert said == []
        gate.answer(None)
    assert said == [None]
    assert len(gate.asked) == 1


@pytest.mark.parametrize("first", ["answer", "request"])
def test_a_no_is_asked_for_again_as_the_request_has_it(gate: Gate, first: str) -> None:
    asked, said = Asked(gate, PEER, NEEDS), Said()
    if first == "answer":
        gate.answer(NO)
    asked.authorise(NEEDS, True, said)
    if first == "request":
        gate.answer(NO)
    assert said == []
    assert gate.asked == [(NEEDS[0], False), (NEEDS[0], True)]
    gate.answer(None)
    assert said == [None]


@pytest.mark.parametrize(
    "needs",
    [
        (Need("org.netjail.run", "lab", "wireguard"),),
        (Need("org.netjail.run", "vpn", "veth"),),
        (Need("org.netjail.manage", "vpn", "wireguard"),),
        (*NEEDS, Need("org.netjail.run", "lab", "veth")),
    ],
)
def test_other_needs_are_another_question(gate: Gate, needs: tuple[Need, ...]) -> None:
    asked, said = Asked(gate, PEER, NEEDS), Said()
    gate.answer(None)
    asked.authorise(needs, True, said)
    assert said == []
    assert gate.asked[1:] == [(needs[0], True)]


def test_it_counts_for_one_request(gate: Gate) -> None:
    asked, said = Asked(gate, PEER, NEEDS), Said()
    gate.answer(None)
    asked.authorise(NEEDS, True, said)
    asked.authorise(NEEDS, True, said)
    assert said == [None]
    assert len(gate.asked) == 2


def test_it_counts_for_a_moment(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(soon.time, "monotonic", lambda: now[0])
    asked, said = Asked(gate, PEER, NEEDS), Said()
    gate.answer(None)
    now[0] += soon.FRESH_SECONDS + 0.01
    asked.authorise(NEEDS, True, said)
    assert said == []
    assert len(gate.asked) == 2


def test_a_request_taken_back_takes_back_the_question(gate: Gate) -> None:
    asked, said = Asked(gate, PEER, NEEDS), Said()
    asked.authorise(NEEDS, True, said)()
    assert gate.cancelled == 1
    asked.drop()  # nor twice
    assert gate.cancelled == 1


def test_it_is_dropped_with_the_client(gate: Gate) -> None:
    asked = Asked(gate, PEER, NEEDS)
    asked.drop()
    assert gate.cancelled == 1
