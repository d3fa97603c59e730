# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches on a real system bus: whoever sits there looks, an administrator changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from face import MANAGER, QUIET, M, option, path
from world import BusError, Client

People = dict[str, Client]
Made = Callable[..., str]
LINK = """version = 1
{users}
[uplink]
kind = "none"
[[link]]
switch = "{switch}"
address = "{address}"
"""


def text(switch: str, address: str, users: str = "") -> str:
    return LINK.format(switch=switch, address=address, users=users)


def test_a_switch_from_its_file_to_its_end(people: People, made: Made) -> None:
    root = people["root"]
    source = 'version = 1\ndescription = "a lab"\n'
    assert root.call(MANAGER, M + "ValidateSwitch", "ssa{sv}", "floor", source, {}) == []
    assert root.call(MANAGER, M + "AddSwitch", "ssa{sv}", "floor", source, {}) == []
    assert root.call(MANAGER, M + "SwitchText", "sa{sv}", "floor", {}) == source
    again = root.error(MANAGER, M + "AddSwitch", "ssa{sv}", "floor", source, {})
    assert again.name == "org.netjail.Error.Exists"
    replace = {"replace": option("b", True)}
    assert root.call(MANAGER, M + "AddSwitch", "ssa{sv}", "floor", source, replace) == []
    row = next(r for r in root.call(MANAGER, M + "Switches", "a{sv}", {}) if r["name"] == "floor")
    assert (row["state"], row["engine"], row["description"]) == ("down", "bridge", "a lab")
    name = made(text=text("floor", "10.44.0.1/24"))
    root.call(path(name), M.replace("Manager", "Profile") + "Up", "a{sv}", {})
    status = root.call(MANAGER, M + "SwitchStatus", "sa{sv}", "floor", {})
    assert status["state"] == "up" and status["members"] == [name]
    (port,) = status["ports"]
    assert (port["profile"], port["addresses"]) == (name, ["10.44.0.1/24"])
    assert "floor" in str(root.call(MANAGER, M + "Graph", "a{sv}", {}))
    busy = root.error(MANAGER, M + "RemoveSwitch", "sa{sv}", "floor", {})
    assert busy.name == "org.netjail.Error.InUse" and name in busy.message
    root.call(MANAGER, M + "Down", "asa{sv}", [name], {})
    assert root.call(MANAGER, M + "RemoveSwitch", "sa{sv}", "floor", {}) == [name]
    gone = root.error(MANAGER, M + "SwitchStatus", "sa{sv}", "floor", {})
    assert gone.name == "org.netjail.Error.NoSuchSwitch"


def test_a_bad_file_is_told_with_all_its_problems(people: People) -> None:
    bad = 'version = 1\nengine = "hub"\nvlan = 9999\n'
    for method in ("ValidateSwitch", "AddSwitch"):
        error = people["root"].error(MANAGER, M + method, "ssa{sv}", "floor", bad, {})
        assert error.name == "org.netjail.Error.InvalidSwitch"
        assert "engine" in error.message and "vlan" in error.message


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_users_look_and_do_not_change(people: People, who: str) -> None:
    client, source = people[who], "version = 1\n"
    people["root"].call(MANAGER, M + "AddSwitch", "ssa{sv}", "theirs", source, {})
    try:
        assert client.call(MANAGER, M + "SwitchText", "sa{sv}", "theirs", {}) == source
        assert client.call(MANAGER, M + "SwitchStatus", "sa{sv}", "theirs", {})["state"] == "down"
        assert "theirs" in [r["name"] for r in client.call(MANAGER, M + "Switches", "a{sv}", {})]
        refused = client.error(MANAGER, M + "AddSwitch", "ssa{sv}", "mine", source, QUIET)
        assert refused.name in {"org.netjail.Error.NotAuthorised", "org.netjail.Error.AuthNeeded"}
        refused = client.error(MANAGER, M + "RemoveSwitch", "sa{sv}", "theirs", QUIET)
        assert refused.name in {"org.netjail.Error.NotAuthorised", "org.netjail.Error.AuthNeeded"}
    finally:
        people["root"].call(MANAGER, M + "RemoveSwitch", "sa{sv}", "theirs", {})


def test_who_is_on_it_is_told_to_those_who_may_know(people: People, made: Made) -> None:
    root = people["root"]
    root.call(MANAGER, M + "AddSwitch", "ssa{sv}", "shared", "version = 1\n", {})
    name = made(text=text("shared", "10.45.0.1/24", 'users = ["alice"]\n'))
    try:
        root.call(path(name), M.replace("Manager", "Profile") + "Up", "a{sv}", {})
        for who, ports in (("root", 1), ("alice", 1), ("bob", 0)):
            status = people[who].call(MANAGER, M + "SwitchStatus", "sa{sv}", "shared", {})
            assert len(status["ports"]) == ports, who
            assert len(status["members"]) == ports, who
            graph = str(people[who].call(MANAGER, M + "Graph", "a{sv}", {}))
            assert (name in graph) == bool(ports), who
    finally:
        root.call(MANAGER, M + "Down", "asa{sv}", [name], {})
        root.call(MANAGER, M + "Remove", "sa{sv}", name, {})
        root.call(MANAGER, M + "RemoveSwitch", "sa{sv}", "shared", {})


def test_what_is_no_switchs_name(people: People) -> None:
    for name in ("", "../etc/passwd", "A", "x" * 99):
        for method in ("SwitchStatus", "SwitchText", "RemoveSwitch"):
            with pytest.raises(BusError) as caught:
                people["root"].call(MANAGER, M + method, "sa{sv}", name, {})
            assert caught.value.name == "org.netjail.Error.InvalidName", name
