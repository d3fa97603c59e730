# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail port watch`: what is told, and when a command is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PORT = {
    "port": 40001,
    "internal": 40001,
    "protocols": ["tcp", "udp"],
    "address": "11.0.0.1",
    "gateway": "10.2.0.1",
    "spoken": "NAT-PMP",
    "text": None,
}
OTHER = PORT | {"port": 40002, "internal": 51413}
NONE = {**dict.fromkeys(PORT), "protocols": [], "text": "10.2.0.1 does not answer"}


def told(cli, *states: Any) -> None:
    """A helper that tells these, one after the other, and ends."""
    left = list(states)

    def answer(_params: dict[str, Any]) -> dict[str, Any]:
        if not left:
            raise KeyboardInterrupt
        lent = left.pop(0)
        known = "" if lent == "ending" else json.dumps(lent)
        return {"profile": "vpn", "lent": None if lent == "ending" else lent, "known": known}

    cli.client.answers = {
        "port.lent": answer,
        "status": {"profile": {"state": "down", "name": "vpn"}},
    }


def test_each_change_is_a_line(cli) -> None:
    told(cli, PORT, PORT, NONE, "ending", OTHER, None)
    assert cli("port", "watch", "vpn") == 130
    assert cli.out.splitlines() == [
        "11.0.0.1 port 40001 leads to tcp and udp 40001 in vpn.",
        "No port for vpn: 10.2.0.1 does not answer.",
        "11.0.0.1 port 40002 leads to tcp and udp 51413 in vpn.",
        "vpn is not up, or asks for no port.",
    ]
    assert cli.client.calls[-1][1]["wait"] > 0


def test_each_change_is_an_object(cli) -> None:
    told(cli, NONE, PORT)
    assert cli("port", "watch", "--json", "vpn") == 130
    first, second = [json.loads(line) for line in cli.out.splitlines()[:2]]
    assert (first["lent"]["port"], second["lent"]["port"]) == (None, 40001)


def test_a_command_is_run_for_each_port_and_for_none_not(cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f"echo $NETJAIL_PORT $NETJAIL_PORT_INSIDE $NETJAIL_PORT_ADDRESS >> {out}"
    told(cli, NONE, PORT, PORT, NONE, OTHER)
    words = ("port", "watch", "--outside", "vpn", "--", "sh", "-c", script)
    assert cli(*words) == 130
    assert out.read_text() == "40001 40001 11.0.0.1\n40002 51413 11.0.0.1\n"
    assert cli.out == ""


def test_once_ends_with_the_first_port_and_tells_the_commands_status(cli) -> None:
    told(cli, NONE, PORT)
    words = ("port", "watch", "--json", "--once", "--outside", "vpn", "--", "sh", "-c", "exit 7")
    assert cli(*words) == 0
    assert json.loads(cli.out)["result"]["status"] == 7


@pytest.mark.parametrize("state", ["up", "degraded"])
def test_a_profile_that_asks_for_none_is_an_error(cli, state: str) -> None:
    told(cli, None)
    cli.client.answers["status"] = {"profile": {"state": state, "name": "vpn"}}
    assert cli("port", "watch", "vpn") == 2
    assert "natpmp = true" in cli.err


def test_a_command_that_is_not_there_is_an_error(cli) -> None:
    told(cli, PORT)
    assert cli("port", "watch", "--outside", "vpn", "/no/such") == 1
    assert "/no/such" in cli.err
