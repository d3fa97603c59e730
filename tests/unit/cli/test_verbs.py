# SPDX-License-Identifier: GPL-3.0-or-later
"""What each verb asks the helper, and how its answer reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from netjail.cli import app
from netjail.cli.context import Context
from netjail.cli.program import prepare
from netjail.errors import NetjailError

VPN = {
    "name": "vpn",
    "description": "Sweden",
    "kind": "wireguard",
    "state": "up",
    "reason": None,
    "programs": 2,
}
LAB = {
    "name": "lab",
    "description": "",
    "kind": "none",
    "state": "down",
    "reason": None,
    "since": None,
    "programs": 0,
}
IN_USE = {
    "code": "in-use",
    "message": "2 programs run in vpn.",
    "hint": "`netjail down --kill vpn` ends them.",
    "problems": [],
}


def status_of_vpn(now: float) -> dict[str, Any]:
    return {
        **VPN,
        "since": now - 3700,
        "netns": "netjail-vpn",
        "uplink": {
            "interface": "wg0",
            "implementation": "kernel",
            "through": None,
            "endpoint": "se.example.net:51820",
            "peers": [
                {
                    "public_key": "PUBLICKEY=",
                    "endpoint": "198.51.100.7:51820",
                    "allowed_ips": ["0.0.0.0/0"],
                    "latest_handshake": now - 12,
                    "received": 1_500_000,
                    "sent": 2048,
                    "persistent_keepalive": 25,
                }
            ],
        },
        "received": 1_500_000,
        "sent": 2048,
        "mtu": 1420,
        "addresses": [
            {"interface": "wg0", "address": "10.2.0.2/32"},
            {"interface": "wg0", "address": "fd00::2/128"},
        ],
        "routes": ["default dev wg0 scope link", "default dev wg0 metric 1024"],
        "dns": {"mode": "uplink", "servers": ["10.2.0.1"], "search": ["corp.example"]},
        "neighbours": [
            {"address": "10.0.0.1", "lladdr": None, "interface": "eth0", "state": "FAILED"}
        ],
        "programs": [program(now)],
        "processes": [{"name": "wireguard-go", "pid": 812}],
    }


def program(now: float, **changes: Any) -> dict[str, Any]:
    return {
        "profile": "vpn",
        "pid": 4711,
        "ppid": 1,
        "uid": 1000,
        "user": "ada",
        "command": "curl",
        "argv": ["curl", "-H", "a: b", "\x1b[2J"],
        "started": now - 65,
        **changes,
    }


def test_list_empty(cli) -> None:
    cli.client.answers = {"list": {"profiles": []}}
    assert cli("list") == 0
    assert cli.out.startswith("No profiles yet.")
    assert "netjail import FILE" in cli.out


def test_list(cli, now: float) -> None:
    failed = {**VPN, "name": "nl", "state": "failed", "reason": "wireguard-go ended\x1b"}
    cli.client.answers = {
        "list": {"profiles": [{**VPN, "since": now - 180}, LAB, {**failed, "since": now - 5}]}
    }
    assert cli("list") == 0
    assert cli.out == (
        "PROFILE  STATE   UPLINK     SINCE      PROGRAMS  NOTE\n"
        "vpn      up      wireguard  3 min ago         2  Sweden\n"
        "lab      down    none       -                 -\n"
        "nl       failed  wireguard  5 s ago           2  wireguard-go ended\\x1b\n"
    )


def test_status_in_full(cli, now: float) -> None:
    cli.client.answers = {"status": {"profile": status_of_vpn(now)}}
    assert cli("status", "vpn") == 0
    assert cli.out == (
        "vpn: up (for 1 h 1 min)\n"
        "  Sweden\n"
        "  uplink      wireguard (kernel) as wg0\n"
        "  endpoint    se.example.net:51820 (198.51.100.7:51820)\n"
        "  handshake   12 s ago\n"
        "  traffic     1.43 MiB received, 2.00 KiB sent\n"
        "  MTU         1420\n"
        "  addresses   10.2.0.2/32  wg0\n"
        "              fd00::2/128  wg0\n"
        "  routes      default dev wg0 scope link\n"
        "              default dev wg0 metric 1024\n"
        "  DNS         10.2.0.1 (from the uplink)\n"
        "              search corp.example\n"
        "  neighbours  10.0.0.1 (no answer) eth0 FAILED\n"
        "  namespace   netjail-vpn\n"
        "  processes   wireguard-go, PID 812\n"
        "  1 program\n"
        "     PID  USER  STARTED    COMMAND\n"
        "    4711  ada   1 min ago  curl -H 'a: b' '\\x1b[2J'\n"
    )


def test_status_tells_of_leases_and_what_was_not_taken_of_them(cli, now: float) -> None:
    lease = {"interface": "eth0", "address": "10.5.0.7/24", "server": "10.5.0.1"}
    lease |= {"expires": now + 120, "left_out": ["routes"], "refused": None}
    none = {"interface": "lab0", "address": None, "server": None, "expires": None}
    none |= {"left_out": [], "refused": "a mask"}
    cli.client.answers = {
        "status": {"profile": {**status_of_vpn(now), "leases": [lease, none]}},
    }
    assert cli("status", "vpn") == 0
    assert (
        "  lease       10.5.0.7/24 from 10.5.0.1 for 2 min eth0\n"
        "              left out: routes\n"
        "              none yet lab0\n"
        "              refused: a mask\n"
    ) in cli.out


def test_status_tells_whom_a_lease_was_given(cli, now: float) -> None:
    lease = {"interface": "lab", "switch": "lab", "profile": "alpha", "name": None}
    lease |= {"address": "10.20.0.9", "mac": "02:00:00:00:00:01", "expires": now + 120}
    other = {**lease, "profile": None, "name": "printer", "mac": None, "expires": None}
    cli.client.answers = {
        "status": {"profile": {**status_of_vpn(now), "given": [lease, other]}},
    }
    assert cli("status", "vpn") == 0
    assert (
        "  gives       10.20.0.9 to alpha for 2 min 02:00:00:00:00:01 lab\n"
        "              10.20.0.9 to printer for ever lab\n"
    ) in cli.out


def test_status_of_all(cli, now: float) -> None:
    cli.client.answers = {
        "list": {"profiles": [VPN, LAB]},
        "status": {"profile": status_of_vpn(now)},
    }
    assert cli("status") == 0
    assert cli.client.calls[1:] == [("status", {"profile": "vpn"})]
    assert cli.out == (
        "vpn: up (for 1 h 1 min)\n"
        "  Sweden\n"
        "  uplink     wireguard (kernel) as wg0\n"
        "  endpoint   se.example.net:51820 (198.51.100.7:51820)\n"
        "  handshake  12 s ago\n"
        "  traffic    1.43 MiB received, 2.00 KiB sent\n"
        "  programs   1\n"
    )


def test_status_of_what_is_down(cli) -> None:
    cli.client.answers = {"status": {"profile": {**LAB, "programs": []}}}
    assert cli("status", "lab") == 0
    assert cli.out == "lab: down\n  uplink  none (loopback only)\n"
    cli.client.answers = {"list": {"profiles": [LAB]}}
    assert cli("status") == 0
    assert cli.out.startswith("Nothing is up.")


def up(name: str, changed: bool, answered: bool | None, state: str = "up") -> dict[str, Any]:
    return {
        "profile": name,
        "state": state,
        "reason": None,
        "changed": changed,
        "answered": answered,
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (up("vpn", True, True), "vpn is up; its tunnel answers.\n"),
        (up("vpn", False, True), "vpn is up already; its tunnel answers.\n"),
        (up("vpn", True, None), "vpn is up.\n"),
        (up("vpn", True, False, "degraded"), "vpn is up, but its tunnel does not answer yet.\n"),
    ],
)
def test_up(answer: dict[str, Any], said: str, cli) -> None:
    cli.client.answers = {"up": answer}
    assert cli("up", "vpn") == 0
    assert cli.out == said
    assert cli.client.calls == [("up", {"profile": "vpn", "wait": 5.0})]
    assert ("no other way out" in cli.err) is (answer["answered"] is False)


def test_up_of_several_starts_all_before_it_waits(cli) -> None:
    def answer(params: dict[str, Any]) -> dict[str, Any]:
        return up(params["profile"], not params["wait"], True if params["wait"] else None)

    cli.client.answers = {"up": answer}
    assert cli("up", "a", "b", "a", "--wait", "3") == 0
    waits = [(params["profile"], params["wait"] > 0) for _, params in cli.client.calls]
    assert waits == [("a", False), ("b", False), ("a", True), ("b", True)]
    assert cli.out == "a is up; its tunnel answers.\nb is up; its tunnel answers.\n"


def test_up_goes_on_past_errors(cli) -> None:
    def answer(params: dict[str, Any]) -> Any:
        if params["profile"] == "a":
            return NetjailError("no-such-profile", "There is no profile a.", "See list.")
        return up(params["profile"], True, None)

    cli.client.answers = {"up": answer}
    assert cli("up", "a", "b") == 1
    assert cli.out == "b is up.\n"
    assert "1 of 2 profiles could not be brought up" in cli.err
    assert "a: There is no profile a." in cli.err


def test_up_all_is_every_profile(cli) -> None:
    rows = [{"name": name, "state": "down"} for name in ("a", "b")]
    cli.client.answers = {
        "list": {"profiles": rows},
        "up": lambda params: up(params["profile"], True, None),
    }
    assert cli("up", "--all", "--wait", "0") == 0
    assert [p["profile"] for method, p in cli.client.calls if method == "up"] == ["a", "b"]
    assert cli("up", "--all", "a") == 2
    assert cli("up") == 2
    cli.client.answers["list"] = {"profiles": []}
    assert cli("up", "--all") == 0
    assert "No profiles yet" in cli.out


def test_down(cli) -> None:
    cli.client.answers = {
        "down": {"results": [{"profile": "vpn", "state": "down", "changed": True, "errors": []}]}
    }
    assert cli("down", "vpn", "--kill") == 0
    assert cli.client.calls == [("down", {"profiles": ["vpn"], "kill": True})]
    assert cli.out == "vpn is down.\n"
    assert cli("down", "--all") == 0
    assert cli.client.calls[-1] == ("down", {"profiles": None, "kill": False})


def test_down_in_use(cli) -> None:
    results = [
        {"profile": "vpn", "state": "up", "changed": False, "errors": [IN_USE]},
        {"profile": "lab", "state": "down", "changed": False, "errors": []},
    ]
    cli.client.answers = {"down": {"results": results}}
    assert cli("down", "--all") == 1
    assert cli.out == "lab is down already.\n"
    assert "vpn: 2 programs run in vpn." in cli.err
    assert "--kill vpn" in cli.err
    cli.client.answers = {"down": {"results": results[:1]}}
    assert cli("down", "vpn") == 1
    assert cli.err == "netjail: 2 programs run in vpn\n  `netjail down --kill vpn` ends them.\n"
    cli.client.answers = {"down": {"results": []}}
    assert cli("down", "--all") == 0
    assert cli.out == "Nothing is up.\n"


def test_ps(cli, now: float) -> None:
    hidden = program(now, pid=7, user=None, argv=[], command="kworker", started=None)
    cli.client.answers = {"ps": {"programs": [program(now), hidden]}}
    assert cli("ps") == 0
    assert cli.out == (
        "PROFILE   PID  USER  STARTED    COMMAND\n"
        "vpn      4711  ada   1 min ago  curl -H 'a: b' '\\x1b[2J'\n"
        "vpn         7  1000  -          [kworker]\n"
    )
    cli.client.answers = {"ps": {"programs": []}}
    assert cli("ps", "vpn") == 0
    assert cli.out == "No programs run in vpn.\n"


@pytest.mark.parametrize(
    ("words", "pids", "number"),
    [
        (["vpn"], None, 15),
        (["vpn", "3", "4"], [3, 4], 15),
        (["-9", "vpn"], None, 9),
        (["-KILL", "vpn"], None, 9),
        (["-s", "hup", "vpn", "3"], [3], 1),
        (["vpn", "3", "--signal=SIGUSR1"], [3], 10),
        (["-RTMIN", "vpn"], None, 34),
    ],
)
def test_kill(words: list[str], pids: list[int] | None, number: int, cli) -> None:
    cli.client.answers = {"kill": {"signalled": [3, 4]}}
    assert cli("kill", *words) == 0
    assert cli.client.calls == [("kill", {"profile": "vpn", "pids": pids, "signal": number})]
    assert cli.out.endswith("to 2 processes: 3, 4.\n")


def test_plan(cli) -> None:
    cli.client.answers = {
        "plan": {
            "profile": "vpn",
            "state": "down",
            "steps": [
                {"what": "Make the namespace.", "command": "ip netns add netjail-vpn"},
                {"what": "Think.", "command": None},
            ],
        }
    }
    assert cli("plan", "vpn") == 0
    assert cli.out == "1. Make the namespace.\n   ip netns add netjail-vpn\n2. Think.\n"
    cli.client.answers = {"plan": {"profile": "vpn", "state": "up", "steps": []}}
    assert cli("plan", "vpn") == 0
    assert cli.out == "vpn is up: nothing to do.\n"


@pytest.mark.parametrize(("status", "exit_status"), [("warning", 0), ("error", 1)])
def test_doctor(status: str, exit_status: int, cli) -> None:
    checks = [
        {"code": "nft", "title": "nftables", "status": "ok", "text": "1.0.6", "hint": None},
        {"code": "wg", "title": "wg", "status": status, "text": "Gone.", "hint": "apt install"},
    ]
    cli.client.answers = {"doctor": {"checks": checks}}
    assert cli("doctor") == exit_status
    assert cli.out.splitlines() == [
        "ok       nftables  1.0.6",
        f"{status:<7}  wg        Gone.",
        "                   apt install",
        "",
        "no errors, 1 warning." if status == "warning" else "1 error, no warnings.",
    ]


# run


class Launched(Exception):
    pass


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been started, in place of starting it."""
    from netjail.launch import enter, identity

    seen: list[Any] = []

    def start(plan: Any, argv: list[str], who: Any, env: Any, inside: Any) -> None:
        if inside is not None:
            inside()
        seen.append((argv, who, env))
        raise SystemExit(99)

    def read_enter(name: str) -> Any:
        plan = enter.Enter(name, -1)
        plan.stop = "when-idle" if name == "idle" else "never"
        return plan

    monkeypatch.setattr(enter, "start", start)
    monkeypatch.setattr(enter, "read_enter", read_enter)
    monkeypatch.setattr(identity, "resolve", lambda user, env: None)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return seen


def run(cli: Any, *words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli(*words)
    assert ended.value.code == 99


def test_run_waits_for_a_tunnel_that_was_down(cli, launched: list[Any], capsys) -> None:
    answers = iter([up("vpn", True, None), up("vpn", False, False, "degraded")])
    cli.client.answers = {"up": lambda params: next(answers)}
    run(cli, "run", "vpn", "--", "curl", "-s", "x")
    assert [params["wait"] for _, params in cli.client.calls] == [0, 5.0]
    assert launched[0][0] == ["curl", "-s", "x"]
    said = capsys.readouterr().err
    assert "warning: vpn is up, but its tunnel does not answer yet\n" in said
    assert "no other way out" in said


@pytest.mark.parametrize(
    ("words", "changed", "waits"),
    [
        ([], False, [0]),
        (["--no-wait"], True, [0]),
        (["--wait", "0"], True, [0]),
        (["--wait", "2"], True, [0, 2.0]),
        (["--wait", "2"], False, [0, 2.0]),
    ],
)
def test_run_and_waiting(
    words: list[str], changed: bool, waits: list[float], cli, launched: list[Any]
) -> None:
    cli.client.answers = {"up": up("vpn", changed, None)}
    run(cli, "run", *words, "vpn", "true")
    assert [params["wait"] for _, params in cli.client.calls] == waits


def test_run_says_that_a_tunnel_is_silent_without_waiting_for_it(
    cli, launched: list[Any], capsys
) -> None:
    cli.client.answers = {"up": up("vpn", False, None, "degraded")}
    run(cli, "run", "vpn", "true")
    assert len(cli.client.calls) == 1
    assert "does not answer yet" in capsys.readouterr().err


def test_run_tells_the_helper_where_idle_counts(cli, launched: list[Any]) -> None:
    cli.client.answers = {"up": up("idle", False, None), "enter": {}}
    run(cli, "run", "idle", "true")
    assert cli.client.calls[-1] == ("enter", {"profile": "idle", "pid": os.getpid()})


def test_shell(cli, launched: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    cli.client.answers = {"up": up("vpn", False, None)}
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.delenv("SUDO_UID", raising=False)
    run(cli, "shell", "vpn")
    argv, _, env = launched[0]
    assert argv == ["/bin/sh"]
    assert env[b"NETJAIL"] == env[b"debian_chroot"] == b"vpn"
    assert "NETJAIL" not in os.environ


def test_prepare_without_a_tunnel_says_nothing(cli, screen) -> None:
    seen = screen(None)
    cli.client.answers = {"up": up("lab", True, None)}
    context = Context(seen.output)
    args = app.load("run").parser().parse(["lab", "true"])
    prepare(context, "lab", args)
    assert seen.err == ""


# profiles


def test_profile_add(cli, tmp_path: Path) -> None:
    file = tmp_path / "My Lab.toml"
    file.write_text("version = 1\n")
    cli.client.answers = {"profile.add": {"profile": "my-lab", "warnings": ["Mind it."]}}
    assert cli("profile", "add", str(file)) == 0
    assert cli.client.calls == [
        ("profile.add", {"name": "my-lab", "text": "version = 1\n", "replace": False})
    ]
    assert cli.out == "Stored my-lab.\nNote: Mind it.\n"


def test_profile_remove(cli) -> None:
    cli.client.answers = {"profile.remove": {}}
    assert cli("profile", "remove", "vpn", "--down") == 0
    assert cli.client.calls == [("profile.remove", {"name": "vpn", "down": True})]
    assert cli.out == "Deleted vpn.\n"


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 1), ("", 1)])
def test_profile_remove_asks(
    answer: str, status: int, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    monkeypatch.setattr(Context, "interactive", lambda self: True)
    cli.client.answers = {"list": {"profiles": [VPN]}, "profile.remove": {}}
    assert cli("profile", "remove", "vpn") == status
    assert "Delete vpn and the keys in it? [y/N]" in cli.err
    assert (("profile.remove", {"name": "vpn", "down": False}) in cli.client.calls) is (status == 0)


def test_profile_validate(cli, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('version = 1\n[uplink]\nkind = "none"\n')
    bad.write_text('version = 1\nstopp = "never"\n[uplink]\nkind = "nonee"\n')
    assert cli("profile", "validate", str(good)) == 0
    assert cli.out == f"{good}: valid\n"
    assert cli("profile", "validate", str(good), str(bad)) == 1
    assert f"{bad}: 2 problems\n  {bad}:2: " in cli.out
    assert "stop" in cli.out
    assert cli.client.calls == []
