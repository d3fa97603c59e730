# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as an ordinary user: a helper on demand, a password on a terminal."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from face import MANAGER, M, P, none, path
from world import PASSWORD, BusError, World, wait_for

from netjail import names

pexpect = pytest.importorskip("pexpect")


@contextmanager
def another(polkit: bool = True) -> Iterator[World]:
    made = World(polkit)
    try:
        yield made
    finally:
        made.close()


def put(world: World, name: str, text: str) -> None:
    world.write("/run/put.toml", text, 0o644)
    done = world.netjail("profile", "add", "--replace", "--name", name, "/run/put.toml")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def activated(bare: World) -> World:
    """A world whose bus starts the helper when somebody calls."""
    bare.install_service()
    return bare


def test_the_bus_starts_the_helper(activated: World) -> None:
    assert not activated.path(names.SOCKET).exists()
    done = activated.netjail("list", user="alice")
    assert done.returncode == 0, done.stderr
    assert activated.owned(names.BUS_NAME)
    assert oct(activated.path(names.SOCKET).stat().st_mode)[-3:] == "666"


def test_a_user_imports_and_uses_a_profile(activated: World) -> None:
    activated.write("/run/home/alice/mine.toml", none())
    run = lambda *words: activated.netjail(*words, user="alice")  # noqa: E731
    assert run("profile", "add", "--name", "mine", "/run/home/alice/mine.toml").returncode == 0
    assert run("up", "mine").returncode == 0
    assert "mine" in run("list").stdout
    assert run("status", "mine").returncode == 0
    assert 'users = ["alice"]' in run("profile", "show", "mine").stdout
    assert "mine" not in activated.netjail("list", user="dave").stdout
    said = activated.netjail("down", "mine", user="dave")
    assert said.returncode == 1 and "for other users" in said.stderr
    assert run("down", "mine").returncode == 0
    assert run("profile", "remove", "mine").returncode == 0


def terminal(world: World, *words: str, user: str = "carol") -> Any:
    argv = world.argv((sys.executable, "-m", "netjail", *words), user)
    return pexpect.spawn(argv[0], argv[1:], timeout=20, encoding="utf-8", env={"TERM": "xterm"})


def test_a_password_on_the_terminal(activated: World) -> None:
    put(activated, "shared", none([]))
    child = terminal(activated, "up", "shared")
    child.expect("AUTHENTICATING FOR org.netjail.run")
    child.expect("network profile shared \\(none\\)")
    child.expect("Password: ")
    time.sleep(1.3)  # what shows that it waits does not write over the question
    child.sendline(PASSWORD)
    child.expect("COMPLETE")
    child.expect("shared.* is up")
    child.expect(pexpect.EOF)
    assert "\033[K" not in child.before
    child.close()
    assert child.exitstatus == 0
    assert activated.run("pgrep", "pkttyagent").stdout == ""


def test_a_wrong_password(activated: World) -> None:
    put(activated, "shared", none([]))
    child = terminal(activated, "down", "shared")
    child.expect("Password: ")
    child.sendline("x")
    child.expect("FAILED")
    child.expect("you may not use profile shared")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1


def test_interrupted_while_asking(activated: World) -> None:
    """The terminal has its echo back, the agent is gone, and the question is closed."""
    put(activated, "shared", none([]))
    script = f"{sys.executable} -m netjail up shared; echo status $?; stty -a; read x; echo got $x"
    argv = activated.argv(("sh", "-c", script), "carol")
    child = pexpect.spawn(argv[0], argv[1:], timeout=20, encoding="utf-8")
    child.expect("Password: ")
    time.sleep(0.3)
    # The terminal's Ctrl-C cannot cross into a process namespace whose leader is outside.
    pids = activated.run("pgrep", "-f", "netjail up shared", user="carol").stdout.split()
    activated.root("kill", "-INT", *[pid for pid in pids if python_runs(activated, pid)])
    child.expect("status 130")
    assert child.expect([" echo ", "-echo "]) == 0
    child.sendline("hello")
    child.expect("got hello")
    child.expect(pexpect.EOF)
    child.close()
    wait_for(lambda: activated.run("pgrep", "pkttyagent").stdout == "", "the agent stays")


def python_runs(world: World, pid: str) -> bool:
    argv = world.run("cat", f"/proc/{pid}/cmdline").stdout.split("\0")
    return argv[0] == sys.executable


def test_no_ask_password(activated: World) -> None:
    put(activated, "shared", none([]))
    child = terminal(activated, "--no-ask-password", "up", "shared")
    assert child.expect(["none may be asked for", "Password: "]) == 0
    child.expect(pexpect.EOF)
    done = activated.netjail("up", "shared", user="carol")  # not a terminal
    assert done.returncode == 1 and "no polkit agent runs" in done.stderr


def test_a_helper_of_root_s_gives_way(activated: World) -> None:
    """Started when there was no service, it serves root alone; it yields to one that serves all."""
    with another() as world:
        put(world, "shared", none([]))  # starts a helper without a bus
        assert oct(world.path(names.SOCKET).stat().st_mode)[-3:] == "600"
        assert world.netjail("up", "shared").returncode == 0
        said = world.netjail("list", user="alice")
        assert said.returncode == 1 and "serves root alone" in said.stderr
        world.install_service()
        done = world.netjail("status", "shared", user="alice")
        assert done.returncode == 0, done.stderr + world.log()
        assert "up" in done.stdout  # taken over, not made anew
        assert world.netjail("down", "shared").returncode == 0


def test_nothing_installed(activated: World) -> None:
    with another(polkit=False) as world:
        said = world.netjail("list", user="alice")
        assert said.returncode == 1
        assert "no system service is installed" in said.stderr
        world.stop_bus()
        said = world.netjail("list", user="alice")
        assert said.returncode == 1 and "sudo netjail" in said.stderr
        assert world.netjail("list").returncode == 0  # root needs no bus


def test_a_service_that_fails(activated: World) -> None:
    with another(polkit=False) as world:
        world.install_service()
        world.write("/run/start-helper", "#!/bin/sh\nexit 1\n", 0o755)
        said = world.netjail("list", user="alice")
        assert said.returncode == 1
        assert "the helper could not be started" in said.stderr
        assert world.netjail("list").returncode == 0  # root has another way


def test_it_ends_when_idle_and_comes_back(activated: World) -> None:
    with another() as world:
        world.start_helper("--idle-timeout", "0.5")
        world.install_service("--idle-timeout", "0.5")
        alice = world.client("alice")
        assert alice.call(MANAGER, M + "List", "a{sv}", {}) == []
        assert world.helper.wait(10) == 0
        assert not world.owned(names.BUS_NAME)
        for _ in range(5):  # each finds one that is, or has just gone, or is just going
            assert alice.call(MANAGER, M + "List", "a{sv}", {}) == []
            time.sleep(0.45)
        root = world.client()
        root.call(MANAGER, M + "Add", "ssa{sv}", "stays", none(), {})
        root.call(path("stays"), P + "Up", "a{sv}", {})
        time.sleep(1.5)
        assert world.owned(names.BUS_NAME)  # as long as anything is up


def test_a_bus_that_goes(activated: World) -> None:
    """The helper ends, so that systemd starts another; what is up stays up."""
    with another(polkit=False) as world:
        world.start_helper()
        world.client().ask("profile.add", name="lab", text=none()).get()
        world.client().ask("up", profile="lab").get()
        world.stop_bus()
        assert world.helper.wait(15) == 1
        assert "netjail-lab" in world.root("ip", "netns", "list")
        world.start_bus()
        world.start_helper()
        assert world.client().call(path("lab"), P + "Status", "a{sv}", {})["state"] == "up"


def test_no_bus_at_all(activated: World) -> None:
    with another(polkit=False) as world:
        world.stop_bus()
        done = world.run(sys.executable, "-m", "netjail.daemon", "--allow-unsafe-code")
        assert done.returncode == 1
        assert "system bus cannot be reached" in done.stderr and "--no-bus" in done.stderr


def test_without_a_bus_nothing_of_it_is_there(activated: World) -> None:
    """--no-bus: root alone is served, and neither gi nor pydbus is loaded."""
    with another() as world:
        world.start_helper("--no-bus")
        root = world.client()
        root.ask("profile.add", name="lab", text=none()).get()
        assert root.ask("up", profile="lab").get()["state"] == "up"
        assert root.ask("status", profile="lab").get()
        maps = world.path(f"/proc/{root.ask('hello').get()['pid']}/maps").read_text()
        assert "python" in maps
        assert not [word for word in ("girepository", "libgio", "/gi/") if word in maps]
        assert not world.owned(names.BUS_NAME)
        assert oct(world.path(names.SOCKET).stat().st_mode)[-3:] == "600"
        with pytest.raises(BusError, match="Permission denied"):
            world.client("dave").ask("list").get()


def test_a_second_helper(activated: World) -> None:
    with another(polkit=False) as world:
        world.start_helper()
        done = world.run(sys.executable, "-m", "netjail.daemon", "--allow-unsafe-code")
        assert done.returncode == 0, done.stderr
        assert world.helper.poll() is None and world.owned(names.BUS_NAME)


def test_without_our_configuration_the_name_is_refused(activated: World) -> None:
    with another(polkit=False) as world:
        world.path("/etc/dbus-1/system.d/org.netjail.Netjail1.conf").unlink()
        world.stop_bus()
        world.start_bus()
        done = world.run(sys.executable, "-m", "netjail.daemon", "--allow-unsafe-code")
        assert done.returncode == 1
        assert "D-Bus configuration is not installed" in done.stderr


def test_limits_per_user(activated: World) -> None:
    """One user's connections and requests leave room for others."""
    with another() as world:
        world.start_helper()
        root = world.client()
        root.ask("profile.add", name="slow", text=none()).get()
        carol, alice = world.client("carol"), world.client("alice")
        carol.agent("wait")
        asked = [carol.ask("up", profile="slow") for _ in range(40)]
        wait_for(lambda: sum(each.done for each in asked) >= 8, "no limit")
        refused = [each for each in asked if each.done]
        assert len(refused) == 8
        for each in refused:
            with pytest.raises(BusError, match="32 requests going on already"):
                each.get()
        with pytest.raises(BusError, match="32 requests going on already"):
            carol.call(MANAGER, M + "List", "a{sv}", {})
        assert alice.ask("up", profile="slow").get()["state"] == "up"
        carol.close()
        crowd = world.popen(
            sys.executable,
            "-c",
            "import socket, time\nkept = []\n"
            "for _ in range(60):\n"
            "    s = socket.socket(socket.AF_UNIX); s.connect('/run/netjail/socket')\n"
            "    kept.append(s)\n"
            "print('ready', flush=True); time.sleep(60)",
            user="bob",
            stdout=subprocess.PIPE,
        )
        assert crowd.stdout is not None and crowd.stdout.readline() == "ready\n"
        bob = world.client("bob")
        with pytest.raises(BusError, match="clients talk to the helper already"):
            bob.ask("list").get()
        assert alice.ask("list").get()["profiles"]
        assert root.ask("list").get()["profiles"]


def pid_of_helper(world: World) -> int:
    """Of the one that runs; an earlier one may be about to end."""
    for _ in range(50):
        world.root(sys.executable, "-m", "netjail", "list")
        try:
            return int(world.client().ask("hello").get()["pid"])
        except (BusError, OSError):
            time.sleep(0.1)
    raise AssertionError("no helper stays")


@pytest.mark.slow
def test_commands_while_helpers_come_and_go(activated: World) -> None:
    """A command that meets a helper as it ends goes on with the next one, by itself."""
    with another(polkit=False) as world:
        world.install_service()
        put(world, "lab", none())
        module = (sys.executable, "-m", "netjail")
        for number in range(6):
            pid = pid_of_helper(world)
            commands = [
                world.popen(*module, *words, stderr=subprocess.PIPE)
                for words in (("up", "lab"), ("list",), ("down", "lab"))
            ]
            time.sleep(0.04 * number)
            world.root("kill", str(pid))
            for each in commands:
                _, said = each.communicate(timeout=40)
                # an up may be told that the down beside it was quicker
                assert each.returncode == 0 or "was taken down again" in said, said
