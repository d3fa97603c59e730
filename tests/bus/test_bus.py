# SPDX-License-Identifier: GPL-3.0-or-later
"""What the helper is on a real system bus."""

from __future__ import annotations

import shutil
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest
from face import MANAGER, OBJECTS, PROPERTIES, QUIET, M, P, none, option, path
from world import BusError, Client, World, wait_for

from netjail import names

People = dict[str, Client]
Made = Callable[..., str]


def introspect(client: Client, where: str) -> ElementTree.Element:
    text = client.call(where, "org.freedesktop.DBus.Introspectable.Introspect")
    return ElementTree.fromstring(text)


def test_introspection(people: People, made: Made) -> None:
    name = made()
    manager = introspect(people["bob"], MANAGER)
    interfaces = {each.get("name"): each for each in manager.findall("interface")}
    assert {names.BUS_MANAGER, OBJECTS[:-1], PROPERTIES[:-1]} <= set(interfaces)
    assert "profile" in [node.get("name") for node in manager.findall("node")]
    profile = introspect(people["bob"], path(name))
    interfaces |= {each.get("name"): each for each in profile.findall("interface")}
    properties = {each.get("name") for each in interfaces[names.BUS_PROFILE].findall("property")}
    wanted = "Name Description State Reason Uplink Addresses Dns Endpoint LastHandshake Received"
    wanted += " Sent Apps Health Since Place LentPort LentAddress"
    assert properties == set(wanted.split())
    for interface in (names.BUS_MANAGER, names.BUS_PROFILE):
        for method in interfaces[interface].findall("method"):
            ins = [each for each in method.findall("arg") if each.get("direction") == "in"]
            assert ins[-1].get("type") == "a{sv}", method.get("name")


def test_introspection_names_no_profiles(people: People, made: Made) -> None:
    """The library would name all to everybody; ObjectManager names what one may know of."""
    name = made()
    where = MANAGER + "/profile"
    error = people["bob"].error(where, "org.freedesktop.DBus.Introspectable.Introspect")
    assert error.name == "org.freedesktop.DBus.Error.AccessDenied"
    found = [node.get("name") for node in introspect(people["root"], where).findall("node")]
    assert path(name).rpartition("/")[2] in found


def test_a_profile_has_an_object(people: People) -> None:
    root = people["root"]
    where, warnings = root.call(MANAGER, M + "Add", "ssa{sv}", "a-b_c", none(), {})
    assert (where, warnings) == (MANAGER + "/profile/a_2db_5fc", [])
    assert where in root.call(MANAGER, OBJECTS + "GetManagedObjects")
    assert root.call(MANAGER, M + "GetProfile", "sa{sv}", "a-b_c", {}) == where
    assert root.call(where, PROPERTIES + "Get", "ss", names.BUS_PROFILE, "Name") == "a-b_c"
    row = next(x for x in root.call(MANAGER, M + "List", "a{sv}", {}) if x["name"] == "a-b_c")
    assert row["state"] == "down" and row["kind"] == "none"
    root.call(MANAGER, M + "Remove", "sa{sv}", "a-b_c", {})
    assert where not in root.call(MANAGER, OBJECTS + "GetManagedObjects")
    error = root.error(where, P + "Status", "a{sv}", {})
    assert error.name.startswith("org.freedesktop.DBus.Error.Unknown")
    error = root.error(MANAGER, M + "GetProfile", "sa{sv}", "a-b_c", {})
    assert error.name == "org.netjail.Error.NoSuchProfile"


def test_up_and_down(people: People, made: Made) -> None:
    alice, name = people["alice"], made()
    up = alice.call(path(name), P + "Up", "a{sv}", {"wait": option("d", 0)})
    assert up["state"] == "up" and up["changed"] is True
    assert alice.call(path(name), PROPERTIES + "Get", "ss", names.BUS_PROFILE, "State") == "up"
    status = alice.call(path(name), P + "Status", "a{sv}", {})
    assert status["netns"] == f"netjail-{name}"
    assert isinstance(alice.call(path(name), P + "Plan", "a{sv}", {}), list)
    assert alice.call(path(name), P + "Programs", "a{sv}", {}) == []
    down = alice.call(path(name), P + "Down", "a{sv}", {})
    assert down["state"] == "down" and down["changed"] is True
    assert alice.call(path(name), P + "Down", "a{sv}", {})["changed"] is False
    rows = alice.call(MANAGER, M + "Down", "asa{sv}", [name], {"kill": option("b", True)})
    assert rows == [{"profile": name, "state": "down", "changed": False, "errors": []}]


@pytest.mark.skipif(shutil.which("openvpn") is None, reason="needs openvpn")
def test_a_password_is_asked_for_by_an_error_and_given_by_an_option(
    people: People, made: Made
) -> None:
    """The server need not be there: it is about what somebody's dialog has to go by."""
    name = made(
        text='version = 1\n[uplink]\nkind = "openvpn"\nremote = ["127.0.0.1:9/udp"]\n'
        f'login = true\nfingerprint = ["{"AB" * 32}"]\n'
    )
    alice = people["alice"]
    error = alice.error(path(name), P + "Up", "a{sv}", {})
    assert error.name == "org.netjail.Error.CredentialsNeeded"
    lines = error.message.splitlines()
    assert "username: User name" in lines and "password: Password" in lines
    answers = {"username": "alice", "password": "x"}
    wrong = {"credentials": option("a{ss}", {"user": "alice"})}
    assert alice.error(path(name), P + "Up", "a{sv}", wrong).name.endswith(".BadRequest")
    given = {"credentials": option("a{ss}", answers)}
    assert alice.call(path(name), P + "Up", "a{sv}", given)["changed"] is True


def test_changes_are_announced_together(people: People, made: Made) -> None:
    alice, name = people["alice"], made()
    alice.forget()
    alice.call(path(name), P + "Up", "a{sv}", {})
    for changed in alice.until(path(name), "up"):  # "starting" too, where it takes longer
        assert changed[0] == names.BUS_PROFILE
        assert {"State"} <= set(changed[1]) <= {"State", "Since"}
        assert changed[2] == []
    alice.call(path(name), P + "Down", "a{sv}", {})
    assert len(alice.until(path(name), "down")) <= 2
    time.sleep(0.2)
    assert alice.signals.empty()


def test_objects_that_come_and_go_are_announced(world: World, people: People) -> None:
    alice, root = people["alice"], people["root"]
    alice.forget()
    text = 'version = 1\ndescription = "For tests"\n[uplink]\nkind = "none"\n'
    root.ask("profile.add", name="coming", text=text).get()
    where, added = alice.signal("InterfacesAdded")[3]
    assert where == path("coming")
    assert added[names.BUS_PROFILE]["Description"] == "For tests"
    root.ask("profile.remove", name="coming").get()
    assert alice.signal("InterfacesRemoved")[3] == [path("coming"), [names.BUS_PROFILE]]
    # files that root writes by hand are seen as well
    world.write("/etc/netjail/profiles/by-hand.toml", none(), 0o600)
    assert alice.signal("InterfacesAdded")[3][0] == path("by-hand")
    world.write("/etc/netjail/profiles/by-hand.toml", "version = 1\n[uplink", 0o600)
    changed = alice_or_root(root, "PropertiesChanged", path("by-hand"))
    assert changed is not None
    world.path("/etc/netjail/profiles/by-hand.toml").unlink()
    root.call(MANAGER, M + "Reload", "a{sv}", {})
    assert path("by-hand") not in root.call(MANAGER, OBJECTS + "GetManagedObjects")


def alice_or_root(client: Client, member: str, where: str) -> list[Any] | None:
    """A signal about one object, be it that it came as another."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        said = client.signals.get(timeout=10)
        if where in (said[0], said[3][0]):
            return said
    return None


def test_a_broken_file_is_root_s_business(world: World, people: People) -> None:
    world.write("/etc/netjail/profiles/broken.toml", "version = 1\nsecret = [", 0o600)
    people["root"].call(MANAGER, M + "Reload", "a{sv}", {})
    seen = people["root"].call(MANAGER, OBJECTS + "GetManagedObjects")
    health = seen[path("broken")][names.BUS_PROFILE]["Health"]
    assert health[0]["code"] == "invalid-profile" and health[0]["severity"] == "error"
    assert path("broken") not in people["alice"].call(MANAGER, OBJECTS + "GetManagedObjects")
    error = people["alice"].error(path("broken"), P + "Up", "a{sv}", {})
    assert error.name == "org.netjail.Error.NotAuthorised"
    world.path("/etc/netjail/profiles/broken.toml").unlink()


@pytest.mark.parametrize(
    ("member", "signature", "values", "name"),
    [
        ("Add", "ssa{sv}", ["Bad Name", "", {}], "InvalidName"),
        ("Add", "ssa{sv}", ["bad", "x = ", {}], "InvalidProfile"),
        ("Add", "ssa{sv}", ["bad", "", {"replace": option("s", "yes")}], "BadRequest"),
        ("Add", "ssa{sv}", ["bad", "", {"name": option("s", "other")}], "BadRequest"),
        ("Add", "ssa{sv}", ["bad", "", {"auth.no_user_interaction": option("u", 1)}], "BadRequest"),
        ("Remove", "sa{sv}", ["nobody", {}], "NoSuchProfile"),
        ("Remove", "sa{sv}", ["nobody", {"wings": option("b", True)}], "BadRequest"),
        ("Validate", "ssa{sv}", ["x", "version = 2", {}], "InvalidProfile"),
        ("Down", "asa{sv}", [["nobody"], {}], None),
    ],
)
def test_errors_by_name(
    people: People, member: str, signature: str, values: list[Any], name: str | None
) -> None:
    root = people["root"]
    if name is None:
        rows = root.call(MANAGER, M + member, signature, *values)
        assert rows[0]["errors"][0]["code"] == "no-such-profile"
        return
    error = root.error(MANAGER, M + member, signature, *values)
    assert error.name == "org.netjail.Error." + name
    assert "Traceback" not in error.message


def test_launch(world: World, people: People, made: Made) -> None:
    alice, name = people["alice"], made()
    script = "id -u; id -g; id -G; pwd; echo $COLOUR; umask; ip -br link; cat <&0 | wc -c"
    launch = ("asa{sv}", ["sh", "-c", f"exec > /run/home/alice/said; {script}; sleep 100"])
    options = {
        "env": option("as", ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "COLOUR=blue"]),
        "directory": option("s", "/run/home/alice"),
        "umask": option("u", 0o27),
    }
    pid = alice.call(path(name), P + "Launch", *launch, options)
    said = world.path("/run/home/alice/said")
    wait_for(lambda: said.exists() and said.read_text().endswith("0\n"), "it says nothing")
    lines = said.read_text().splitlines()
    assert lines[:6] == ["4001", "4001", "4001", "/run/home/alice", "blue", "0027"]
    assert [line.split()[0] for line in lines[6:-1]] == ["lo"]
    apps = alice.call(path(name), PROPERTIES + "Get", "ss", names.BUS_PROFILE, "Apps")
    assert pid in [each[0] for each in apps]
    error = people["bob"].error(path(name), P + "Launch", "asa{sv}", ["true"], {})
    assert error.name == "org.netjail.Error.NotAuthorised"
    for argv in (["/nowhere"], []):
        error = alice.error(path(name), P + "Launch", "asa{sv}", argv, {})
        assert error.name.startswith("org.netjail.Error."), error
    assert alice.call(path(name), P + "Kill", "auua{sv}", [], 9, {})
    root = people["root"].call(path(name), P + "Launch", "asa{sv}", ["true"], {})
    assert root > 0


def test_a_thread_is_no_process(world: World, people: People, made: Made) -> None:
    name = made(up=True)
    threads = world.run("ls", f"/proc/{people['root'].pid}/task").stdout.split()
    thread = next(int(each) for each in threads if int(each) != people["root"].pid)
    error = people["root"].error(path(name), P + "Kill", "auua{sv}", [thread], 15, {})
    assert error.name == "org.netjail.Error.Usage"


def test_properties_are_read_only(people: People, made: Made) -> None:
    name = made()
    root = people["root"]
    set_ = ("ssv", names.BUS_PROFILE, "State", option("s", "up"))
    error = root.error(path(name), PROPERTIES + "Set", *set_)
    assert error.name in ("org.netjail.Error.BadRequest", "org.freedesktop.DBus.Error.InvalidArgs")
    assert root.call(MANAGER, PROPERTIES + "Get", "ss", names.BUS_MANAGER, "Protocol") == 1
    assert "Version" in root.call(MANAGER, PROPERTIES + "GetAll", "s", names.BUS_MANAGER)
    error = root.error(MANAGER, PROPERTIES + "Get", "ss", names.BUS_MANAGER, "Nothing")
    assert error.name.rpartition(".")[2] in ("BadRequest", "InvalidArgs", "UnknownProperty")
    error = root.error(path(name), PROPERTIES + "Get", "ss", names.BUS_PROFILE, "Nothing")
    assert error.name.rpartition(".")[2] in ("BadRequest", "InvalidArgs", "UnknownProperty")


def test_no_secret_is_shown(people: People, made: Made) -> None:
    key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
    public = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
    text = (
        'version = 1\n[uplink]\nkind = "wireguard"\n'
        f'private_key = "{key}"\naddress = ["10.2.0.2/32"]\n[[uplink.peer]]\n'
        f'public_key = "{public}"\npreshared_key = "{key}"\nallowed_ips = ["0.0.0.0/0"]\n'
        'endpoint = "192.0.2.1:51820"\n'
    )
    name = made(text=text)
    root, where = people["root"], path(name)
    everything = [
        root.call(MANAGER, OBJECTS + "GetManagedObjects"),
        root.call(MANAGER, M + "List", "a{sv}", {}),
        root.call(where, PROPERTIES + "GetAll", "s", names.BUS_PROFILE),
        root.call(where, P + "Status", "a{sv}", {}),
        root.call(where, P + "Plan", "a{sv}", {}),
        root.call(where, P + "Logs", "a{sv}", {}),
    ]
    assert key not in repr(everything)
    assert "192.0.2.1:51820" in repr(everything)
    time.sleep(0.2)
    for client in people.values():
        while not client.signals.empty():
            assert key not in repr(client.signals.get())
    assert key in root.call(where, P + "Export", "a{sv}", {})


def test_what_has_happened_is_told_to_whoever_may_see_the_profile(
    people: People, made: Made
) -> None:
    alice, name = people["alice"], made(users=["alice"])
    where = path(name)
    alice.call(where, P + "Up", "a{sv}", {"wait": option("d", 0)})
    lines = alice.call(where, P + "Logs", "a{sv}", {})
    assert [line["state"] for line in lines][-1] == "up"
    assert {"n", "time", "text"} <= set(lines[-1])
    after = {"after": option("t", lines[-1]["n"])}
    assert alice.call(where, P + "Logs", "a{sv}", after) == []
    alice.call(where, P + "Down", "a{sv}", {})
    more = alice.call(where, P + "Logs", "a{sv}", {**after, "wait": option("d", 20)})
    assert "down" in more[0]["text"] or more[0]["state"] == "stopping"
    refused = people["bob"].error(where, P + "Logs", "a{sv}", {})
    same = people["bob"].error(where, P + "Status", "a{sv}", {})
    assert refused.name == same.name


def test_the_name_cannot_be_taken_away(world: World) -> None:
    thief = world.client()
    bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus")
    # 2: replace whoever has it, 4: do not queue
    said = thief.call(bus[1], bus[0] + ".RequestName", "su", names.BUS_NAME, 2 | 4)
    assert said == 3  # somebody has it
    mallory = world.client("dave")
    error = mallory.error(bus[1], bus[0] + ".RequestName", "su", names.BUS_NAME, 2)
    assert error.name.endswith("AccessDenied")


def test_a_helper_that_was_killed_is_followed_by_one_that_knows(
    world: World, people: People, made: Made
) -> None:
    alice, name = people["alice"], made(up=True)
    world.stop_helper(9)
    wait_for(lambda: not world.owned(names.BUS_NAME), "the name stays")
    world.start_helper()
    assert alice.call(path(name), PROPERTIES + "Get", "ss", names.BUS_PROFILE, "State") == "up"
    assert alice.ask("status", profile=name).get()["profile"]["state"] == "up"
    assert world.stop_helper() == 0
    assert not world.owned(names.BUS_NAME)
    assert not world.path(names.SOCKET).exists()
    world.start_helper()


def test_progress_is_told_to_who_waits(people: People, made: Made) -> None:
    public = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
    key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
    base = made()
    text = (
        f'version = 1\n[uplink]\nkind = "wireguard"\nthrough = "{base}"\n'
        f'private_key = "{key}"\naddress = ["10.2.0.2/32"]\n[[uplink.peer]]\n'
        f'public_key = "{public}"\nallowed_ips = ["0.0.0.0/0"]\nendpoint = "192.0.2.1:51820"\n'
    )
    name = made(text=text)
    alice, root = people["alice"], people["root"]
    try:
        alice.call(path(name), P + "Up", "a{sv}", {**QUIET})
    except BusError as error:
        assert error.name.startswith("org.netjail.Error."), error
    progress = alice.signal("Progress")
    assert progress[0] == path(name) and progress[3][0]
    while not root.signals.empty():
        assert root.signals.get()[2] != "Progress"
