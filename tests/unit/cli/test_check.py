# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail check`: what the helper is asked, the exit status, what a person reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netjail.cli import check
from netjail.errors import NetjailError
from netjail.leaks.model import Finding

WELL = Finding("route-default", "ok", "default dev wg0")
DOCKER = Finding("socket-docker", "warning", "/run/docker.sock can be reached")
NSCD = Finding("dns-nscd", "leak", "/run/nscd/socket is open")


def answer(*findings: Finding, clean: bool = True) -> dict[str, Any]:
    counts = dict.fromkeys(("ok", "info", "warning", "leak", "accepted"), 0)
    for each in findings:
        counts["accepted" if each.accepted else each.level] += 1
    return {
        "profile": "vpn",
        "clean": clean,
        "counts": counts,
        "findings": [each.as_dict("vpn") for each in findings],
        "sent_inside": ["pings of 96 bytes to 10.64.0.1"],
        "sent_outside": [],
    }


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("netjail.leaks.outside.look", lambda options: json.dumps(options))
    (tmp_path / "netjail").mkdir()
    return tmp_path / "netjail" / "config.toml"


def ask(cli, *words: str, **more: Any) -> dict[str, Any]:
    cli.client.answers = {"up": {"state": "up"}, "check": {**answer(WELL), **more}}
    cli("check", *words)
    method, params = cli.client.calls[-1]
    assert method == "check"
    return params


def test_nobody_is_to_be_asked_by_default(cli) -> None:
    params = ask(cli, "vpn")
    assert params["profile"] == "vpn"
    assert not any(params[key] for key in ("echo", "echo_dns", "resolver", "accept"))
    assert not any(json.loads(params["outside"]).values())


def test_options_go_before_settings_and_offline_before_both(cli, config: Path) -> None:
    config.write_text('[check]\necho = "https://a.example/"\naccept = ["socket-docker"]\n')
    assert ask(cli, "vpn")["echo"] == "https://a.example/"
    params = ask(cli, "vpn", "--echo", "http://b.example/", "--accept", "dns-bus")
    assert params["echo"] == "http://b.example/"
    assert params["accept"] == ["socket-docker", "dns-bus"]
    assert json.loads(params["outside"])["echo"] == "http://b.example/"
    params = ask(cli, "vpn", "--offline", "--echo", "http://b.example/")
    assert params["echo"] == "" and json.loads(params["outside"])["echo"] == ""
    assert ask(cli, "vpn", "--echo", "")["echo"] == ""


def test_what_is_down_is_brought_up_and_what_is_up_is_not_mended_first(cli) -> None:
    ask(cli, "vpn")
    assert [method for method, _ in cli.client.calls] == ["check"]
    answers = [NetjailError("not-up", "profile vpn is not up"), answer(WELL)]
    cli.client.answers = {"up": {"state": "up"}, "check": lambda _: answers.pop(0)}
    cli.client.calls.clear()
    assert cli("check", "vpn") == 0
    assert [method for method, _ in cli.client.calls] == ["check", "up", "check"]


def test_a_mistake_is_told_before_anything_is_asked(cli) -> None:
    assert cli("check", "vpn", "--accept", "no-such-code") == 1
    assert "no-such-code" in cli.err and cli.client.calls == []


@pytest.mark.parametrize(("clean", "status"), [(True, 0), (False, 1)])
def test_exit_status(cli, clean: bool, status: int) -> None:
    cli.client.answers = {"up": {"state": "up"}, "check": answer(WELL, clean=clean)}
    assert cli("check", "vpn") == status
    assert cli("check", "vpn", "--json") == status
    assert json.loads(cli.out)["ok"] is True


def test_what_a_person_reads(screen) -> None:
    seen = screen(100)
    check.render(answer(WELL, NSCD, DOCKER, clean=False), seen.output)
    lines = seen.out.splitlines()
    assert lines[0] == "Interfaces and routes"
    assert lines[1].split() == ["✓", "default", "routes", "default", "dev", "wg0"]
    assert "nscd runs outside" in seen.out and "leave the group docker" in seen.out
    assert "Sent from inside: pings of 96 bytes to 10.64.0.1." in lines
    assert "Sent from outside: nothing." in lines
    assert lines[-1] == "vpn: 1 leak and 1 warning."
    assert max(map(len, lines)) <= 100


def test_the_last_line_is_the_verdict(screen) -> None:
    for findings, said in (
        ([WELL], "vpn: nothing leaks."),
        ([WELL, DOCKER], "vpn: no leak, 1 warning."),
        (
            [WELL, Finding("socket-docker", "warning", "x", "", True)],
            "vpn: nothing leaks. (1 accepted finding)",
        ),
    ):
        seen = screen(None)
        check.render(answer(*findings), seen.output)
        assert seen.out.splitlines()[-1] == said


def test_nothing_that_was_seen_steers_the_terminal(screen) -> None:
    seen = screen(80)
    check.render(answer(Finding("held-socket", "leak", "\x1b[2Jevil")), seen.output)
    assert "\x1b" not in seen.out
