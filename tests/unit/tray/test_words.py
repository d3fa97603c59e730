# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic, times, families of processes, results of a check: in few words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.tray import checked, state, words


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1449, "1.4 kB"), (9949, "9.9 kB"),
        (9951, "10 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (12_345_678, "12 MB"),
        (3_400_000_000, "3.4 GB"), (10**15, "1000 TB"),
    ],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    assert words.size(count) == text


@given(st.integers(0, 10**15))
def test_no_size_is_long(count: int) -> None:
    assert len(words.size(count)) <= 7


def row(pid: int, ppid: int, command: str = "x", uid: int = 1000, user: str = "me") -> Any:
    return {"pid": pid, "ppid": ppid, "uid": uid, "user": user, "command": command}


def test_an_application_is_what_was_started_with_all_that_came_of_it() -> None:
    rows = [
        row(10, 1, "firefox"), row(12, 10, "Web Content"), row(13, 12), row(20, 1, "bash"),
        row(31, 20, "ssh"), row(40, 1, "dnsmasq", 0, "root"),
    ]  # fmt: skip
    assert state.programs(rows, 1000) == (
        state.Program("bash", (20, 31)),
        state.Program("firefox", (10, 12, 13)),
        state.Program("root's dnsmasq", (40,), mine=False),
    )


def test_what_others_run_may_have_no_name() -> None:
    (program,) = state.programs([row(10, 1, "", 0, "")], 1000)
    assert program.command == "another user's"


def test_processes_that_claim_to_be_each_others_parents() -> None:
    assert len(state.programs([row(10, 11), row(11, 10)], 1000)) >= 1


def finding(level: str, code: str = "x", text: str = "seen", accepted: bool = False) -> Any:
    return {
        "code": code, "level": level, "group": "", "title": code.upper(), "text": text,
        "why": "it matters", "todo": "do this", "accepted": accepted,
    }  # fmt: skip


def result(*findings: Any, leak: int = 0, warning: int = 0) -> Any:
    return {
        "profile": "vpn",
        "findings": findings,
        "counts": {"leak": leak, "warning": warning},
    }


@pytest.mark.parametrize(
    ("said", "title", "urgency"),
    [
        (result(finding("ok")), "vpn: nothing leaks", "normal"),
        (result(finding("warning"), warning=1), "vpn: no leak, 1 warning", "normal"),
        (
            result(finding("warning"), finding("leak", "dns"), leak=2, warning=1),
            "vpn leaks: 2 findings",
            "critical",
        ),
    ],
)
def test_a_check_in_one_notification(said: Any, title: str, urgency: str) -> None:
    notice = checked.notice(said)
    assert (notice.title, notice.urgency) == (title, urgency)
    assert notice.actions == (("Show", ("show-check", "vpn")),)


def test_a_check_to_read_the_worst_first() -> None:
    said = result(finding("ok", "a"), finding("leak", "b"), finding("leak", "c", accepted=True))
    assert checked.sections(said) == [
        ("Leak: B", "seen\nit matters\ndo this"),
        ("Note: C", "seen"),
        ("Fine: A", "seen"),
    ]


@pytest.mark.parametrize(
    ("findings", "address"),
    [
        ([], ""),
        ([finding("ok", "exit-ipv4", "seen as 198.51.100.20; outside as 203.0.113.7")],
         "198.51.100.20"),
        ([finding("ok", "exit-ipv6", "seen as 2001:db8::5, the host's own line")], "2001:db8::5"),
        ([finding("ok", "exit-ipv4", "no page is reached by IPv4")], ""),
        ([finding("ok", "exit-ipv4", "seen as ::::")], ""),
    ],
)  # fmt: skip
def test_the_exit_address_of_a_check(findings: list[Any], address: str) -> None:
    assert checked.exit_address(result(*findings)) == address
