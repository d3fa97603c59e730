# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: real polkit asked for each request, on both faces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from face import MANAGER, OBJECTS, PROPERTIES, QUIET, M, P, none, option, outcome, path
from world import PASSWORD, RULES, USERS, Answer, BusError, Client, World, wait_for

from netjail import names

People = dict[str, Client]
Made = Callable[..., str]
REFUSED = "not-authorised"
BUS_REFUSED = "org.netjail.Error.NotAuthorised"


def both(client: Client, on_socket: Callable[[], Answer], on_bus: Callable[[], Answer]) -> str:
    """The outcome, which must be the same on both faces."""
    first, second = outcome(on_socket()), outcome(on_bus())
    for _ in range(50):  # what the socket has added is on the bus a moment later
        if not second.endswith("UnknownMethod"):
            break
        time.sleep(0.1)
        second = outcome(on_bus())
    words = second.removeprefix("org.netjail.Error.")
    assert first.replace("-", "") == words.lower(), (first, second)
    return first


def up(client: Client, name: str) -> str:
    return both(
        client,
        lambda: client.ask("up", profile=name),
        lambda: client.begin(path(name), P + "Up", "a{sv}", {}),
    )


def down(client: Client, name: str, kill: bool = False) -> str:
    options = {"kill": option("b", kill)}
    return both(
        client,
        lambda: client.ask("down", profiles=[name], kill=kill),
        lambda: client.begin(path(name), P + "Down", "a{sv}", options),
    )


def export(client: Client, name: str) -> str:
    return both(
        client,
        lambda: client.ask("profile.get", name=name),
        lambda: client.begin(path(name), P + "Export", "a{sv}", {}),
    )


def replace(client: Client, name: str, text: str) -> str:
    options = {"replace": option("b", True)}
    return both(
        client,
        lambda: client.ask("profile.add", name=name, text=text, replace=True),
        lambda: client.begin(MANAGER, M + "Add", "ssa{sv}", name, text, options),
    )


def kill(client: Client, name: str) -> str:
    return both(
        client,
        lambda: client.ask("kill", profile=name, signal=15),
        lambda: client.begin(path(name), P + "Kill", "auua{sv}", [], 15, {}),
    )


# Who may use what --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "expected"),
    [("root", "yes"), ("alice", "yes"), ("dave", "yes"), ("bob", REFUSED), ("carol", REFUSED)],
)
def test_using_a_shared_profile(people: People, made: Made, who: str, expected: str) -> None:
    name = made()
    assert up(people[who], name) == expected
    assert down(people[who], name) == expected


@pytest.mark.parametrize(
    ("who", "expected"), [("root", "yes"), ("alice", "yes"), ("dave", REFUSED), ("bob", REFUSED)]
)
def test_users_of_a_profile(people: People, made: Made, who: str, expected: str) -> None:
    """polkit would let dave; the profile does not."""
    name = made(["alice", "bob"])
    assert up(people[who], name) == expected
    assert down(people[who], name) == expected


@pytest.mark.parametrize("who", ["root", "alice", "bob", "dave"])
def test_a_profile_of_others_is_not_seen(people: People, made: Made, who: str) -> None:
    name = made(["alice"], up=True)
    client, sees = people[who], who in ("root", "alice")
    rows = client.ask("list").get()["profiles"]
    assert (name in [row["name"] for row in rows]) == sees
    rows = client.call(MANAGER, M + "List", "a{sv}", {})
    assert (name in [row["name"] for row in rows]) == sees
    assert (path(name) in client.call(MANAGER, OBJECTS + "GetManagedObjects")) == sees
    expected = "yes" if sees else REFUSED
    assert outcome(client.ask("status", profile=name)) == expected
    assert outcome(client.ask("plan", profile=name)) == expected
    assert outcome(client.ask("ps", profile=name)) == expected
    for where, words in [
        (P + "Status", ("a{sv}", {})),
        (PROPERTIES + "Get", ("ss", names.BUS_PROFILE, "State")),
        (PROPERTIES + "GetAll", ("s", names.BUS_PROFILE)),
    ]:
        assert outcome(client.begin(path(name), where, *words)) == (
            "yes" if sees else BUS_REFUSED
        ), where


def test_signals_about_a_profile_of_others(people: People) -> None:
    """Not one of them reaches somebody who may not know."""
    for client in people.values():
        client.call(MANAGER, OBJECTS + "GetManagedObjects")
        client.forget()
    root = people["root"]
    root.ask("profile.add", name="quiet", text=none(["alice"])).get()
    for name in ("alice", "root"):
        assert people[name].signal("InterfacesAdded")[3][0] == path("quiet")
    root.ask("up", profile="quiet").get()
    for name in ("alice", "root"):
        people[name].until(path("quiet"), "up")
    # it becomes everybody's, and then alice's again
    root.ask("profile.add", name="quiet", text=none(), replace=True).get()
    assert people["dave"].signal("InterfacesAdded")[3][0] == path("quiet")
    root.ask("profile.add", name="quiet", text=none(["alice"]), replace=True).get()
    assert people["dave"].signal("InterfacesRemoved")[3][0] == path("quiet")
    root.ask("profile.remove", name="quiet", down=True).get()
    people["alice"].signal("InterfacesRemoved")
    people["alice"].signal("InterfacesRemoved")
    time.sleep(0.2)
    assert people["dave"].signals.empty()


def test_what_it_goes_through_is_used_as_well(people: People, made: Made) -> None:
    base = made(["dave"])
    key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
    text = (
        f'version = 1\n[uplink]\nkind = "wireguard"\nthrough = "{base}"\nprivate_key = "{key}"\n'
        'address = ["10.2.0.2/32"]\n[[uplink.peer]]\nallowed_ips = ["0.0.0.0/0"]\n'
        'public_key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="\n'
        'endpoint = "192.0.2.1:51820"\n'
    )
    name = made(text=text)
    assert up(people["alice"], name) == REFUSED
    with pytest.raises(BusError, match=f"profile {base} is for other users"):
        people["alice"].ask("up", profile=name).get()


# Whose profile it is -----------------------------------------------------------------------------


def test_a_profile_of_one_s_own(people: People) -> None:
    alice, root, dave = people["alice"], people["root"], people["dave"]
    alice.ask("profile.add", name="mine", text="# my own\n" + none()).get()
    assert alice.call(MANAGER, M + "GetProfile", "sa{sv}", "mine", {}) == path("mine")
    text = root.ask("profile.get", name="mine").get()["text"]
    assert text.startswith('# my own\nusers = ["alice"]\nversion = 1\n')
    assert export(alice, "mine") == "yes"
    assert export(dave, "mine") == REFUSED
    assert up(alice, "mine") == "yes"
    assert up(dave, "mine") == REFUSED
    assert replace(alice, "mine", none(["alice"])) == "yes"
    assert replace(alice, "mine", none(["alice", "bob"])) == REFUSED
    assert replace(alice, "mine", none([])) == REFUSED  # `users = []` would make it everybody's
    assert replace(alice, "mine", 'version = 1\n[uplink]\nkind = "veth"\n') == REFUSED
    assert replace(people["carol"], "mine", none()) == REFUSED
    assert outcome(dave.ask("profile.remove", name="mine")) == REFUSED
    alice.ask("profile.remove", name="mine", down=True).get()


@pytest.mark.parametrize(
    ("who", "expected"),
    [("root", "yes"), ("dave", "yes"), ("alice", REFUSED), ("bob", REFUSED), ("carol", REFUSED)],
)
def test_a_shared_profile_is_managed_by_administrators(
    people: People, made: Made, who: str, expected: str
) -> None:
    name, client = made(), people[who]
    assert export(client, name) == expected
    assert replace(client, name, none([])) == expected
    remove = both(
        client,
        lambda: client.ask("profile.remove", name=name),
        lambda: (
            people["root"].begin(MANAGER, M + "Validate", "ssa{sv}", "x", none(), {})
            if expected == "yes"
            else client.begin(MANAGER, M + "Remove", "sa{sv}", name, {})
        ),
    )
    assert remove == expected


@pytest.mark.parametrize(
    "uplink",
    [
        'kind = "veth"\n',
        'kind = "wireguard"\nfwmark = 7\nKEY',
        'kind = "wireguard"\nlisten_port = 53\nKEY',
    ],
)
def test_what_touches_the_host_is_not_one_s_own(people: People, uplink: str) -> None:
    wireguard = (
        'private_key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="\n'
        'address = ["10.2.0.2/32"]\n[[uplink.peer]]\nallowed_ips = ["0.0.0.0/0"]\n'
        'public_key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="\n'
        'endpoint = "192.0.2.1:51820"\n'
    )
    text = f"version = 1\n[uplink]\n{uplink}".replace("KEY", wireguard)
    assert replace(people["alice"], "host", text) == REFUSED
    assert replace(people["alice"], "host", 'users = ["alice"]\n' + text) == REFUSED


def test_a_jail_whose_file_is_gone_is_nobody_s(world: World, people: People, made: Made) -> None:
    name = made(up=True)
    world.path(f"/etc/netjail/profiles/{name}.toml").unlink()
    assert replace(people["alice"], name, none()) == REFUSED
    people["root"].ask("profile.add", name=name, text=none([])).get()


def test_so_many_and_no_more(people: People, world: World) -> None:
    text = none(["erin"])
    for number in range(64):
        world.write(f"/etc/netjail/profiles/erin-{number}.toml", text, 0o600)
    # erin may manage her own by rule, in this test
    world.write("/etc/polkit-1/rules.d/30-erin.rules", ERIN)
    time.sleep(0.5)
    with pytest.raises(BusError, match="64 profiles of your own"):
        people["erin"].ask("profile.add", name="erin-more", text=none()).get()
    people["erin"].ask("profile.remove", name="erin-0").get()
    people["erin"].ask("profile.add", name="erin-more", text=none()).get()
    for file in world.path("/etc/netjail/profiles").glob("erin-*"):
        file.unlink()
    world.path("/etc/polkit-1/rules.d/30-erin.rules").unlink()


ERIN = """
polkit.addRule(function(action, subject) {
    if (subject.user == "erin" && action.id == "org.netjail.manage-own") return "yes";
});
"""


# Programs of others ------------------------------------------------------------------------------


def sleeper(world: World, name: str, user: str) -> subprocess.Popen[str]:
    """A program of `user` in a jail, entered as root does it."""
    uid = str(USERS[user]) if user != "root" else "0"
    drop = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "sleep", "100"]
    return world.popen("ip", "netns", "exec", f"netjail-{name}", *drop)


def inside(people: People, name: str) -> list[dict[str, Any]]:
    return people["root"].ask("ps", profile=name).get()["programs"]


def test_programs_of_others(world: World, people: People, made: Made) -> None:
    name = made(up=True)
    alice, dave = people["alice"], people["dave"]
    sleeper(world, name, "bob")
    wait_for(lambda: [row["user"] for row in inside(people, name)] == ["bob"], "no sleeper")
    wait_for(lambda: inside(people, name)[0]["argv"][0] == "sleep", "no sleep")
    # seen, but without the words of the command line
    assert alice.ask("ps", profile=name).get()["programs"][0]["argv"] == ["sleep"]
    assert alice.ask("status", profile=name).get()["profile"]["programs"][0]["argv"] == ["sleep"]
    apps = alice.call(path(name), PROPERTIES + "Get", "ss", names.BUS_PROFILE, "Apps")
    assert [(uid, command) for _, uid, command in apps] == [(USERS["bob"], "")]
    # not stopped
    assert kill(alice, name) == REFUSED
    assert down(alice, name, kill=True) == REFUSED
    assert "in-use" in repr(alice.ask("down", profiles=[name]).get())
    assert len(inside(people, name)) == 1
    # unless one may
    pid = inside(people, name)[0]["pid"]
    assert outcome(dave.ask("kill", profile=name, pids=[pid], signal=15)) == "yes"
    wait_for(lambda: not inside(people, name), "it lives")


def test_programs_of_one_s_own(world: World, people: People, made: Made) -> None:
    name = made(up=True)
    alice = people["alice"]
    sleeper(world, name, "alice")
    wait_for(lambda: [row["user"] for row in inside(people, name)] == ["alice"], "no sleeper")
    wait_for(lambda: inside(people, name)[0]["argv"][0] == "sleep", "no sleep")
    assert alice.ask("ps", profile=name).get()["programs"][0]["argv"] == ["sleep", "100"]
    apps = alice.call(path(name), PROPERTIES + "Get", "ss", names.BUS_PROFILE, "Apps")
    assert [command for *_, command in apps] == ["sleep"]
    assert alice.ask("kill", profile=name, signal=15).get()["signalled"]
    wait_for(lambda: not inside(people, name), "it lives")
    sleeper(world, name, "alice")
    wait_for(lambda: [row["command"] for row in inside(people, name)] == ["sleep"], "no sleep")
    assert down(alice, name, kill=True) == "yes"


# Passwords ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "expected"), [("right", "yes"), ("wrong", REFUSED), ("dismiss", REFUSED)]
)
def test_a_password(world: World, made: Made, behaviour: str, expected: str) -> None:
    name = made()
    carol = world.client("carol")
    carol.agent(behaviour)
    assert outcome(carol.ask("up", profile=name)) == expected
    prompt = carol.prompts.get(timeout=5)
    assert prompt["action"] == names.ACTION_RUN
    assert f"the network profile {name} (none)" in prompt["message"]
    assert outcome(carol.begin(path(name), P + "Up", "a{sv}", {})) == (
        expected if expected == "yes" else BUS_REFUSED
    )
    carol.prompts.get(timeout=5)
    if behaviour == "dismiss":
        with pytest.raises(BusError, match="dismissed"):
            carol.ask("up", profile=name).get()
    assert carol.prompts.empty() or behaviour == "dismiss"


def test_no_password_is_asked_for_when_one_says_so(world: World, made: Made) -> None:
    name = made()
    carol = world.client("carol")
    carol.agent("right")
    with pytest.raises(BusError, match="none may be asked for"):
        carol.ask("up", interactive=False, profile=name).get()
    error = carol.error(path(name), P + "Up", "a{sv}", QUIET)
    assert error.name == BUS_REFUSED and "none may be asked for" in error.message
    assert carol.prompts.empty()


def test_without_an_agent_the_answer_says_that_one_would_help(people: People, made: Made) -> None:
    with pytest.raises(BusError, match=r"no polkit agent runs in this session \(prompt\)"):
        people["carol"].ask("up", profile=made()).get()
    with pytest.raises(BusError) as caught:
        people["bob"].ask("up", profile=made()).get()
    assert "(prompt)" not in caught.value.message


def test_a_prompt_holds_up_nobody(world: World, people: People, made: Made) -> None:
    name, other = made(), made()
    carol = world.client("carol")
    carol.agent("wait")
    on_socket = carol.ask("up", profile=name)
    on_bus = carol.begin(path(other), P + "Up", "a{sv}", {})
    carol.prompts.get(timeout=5)
    carol.prompts.get(timeout=5)
    began = time.monotonic()
    assert up(people["alice"], name) == "yes"
    assert carol.ask("list").get()["profiles"]
    assert carol.call(MANAGER, M + "List", "a{sv}", {})
    assert outcome(carol.ask("status", profile=other)) == "yes"
    assert time.monotonic() - began < 5
    assert not on_socket.done and not on_bus.done
    carol.close()


def test_whoever_goes_takes_the_question_along(world: World, people: People, made: Made) -> None:
    name = made()
    for ask in (
        lambda who: who.begin(path(name), P + "Up", "a{sv}", {}),
        lambda who: who.ask("up", profile=name),
    ):
        carol, agent = world.client("carol"), world.client("carol")
        agent.agent("wait", carol.pid)
        ask(carol)
        cookie = agent.prompts.get(timeout=5)["cookie"]
        carol.close()
        assert agent.prompts.get(timeout=5) == {"cancelled": cookie}
        agent.close()
    time.sleep(0.2)
    state = people["root"].ask("status", profile=name).get()["profile"]["state"]
    assert state == "down"


def test_what_has_changed_during_the_prompt_is_not_granted(world: World, people: People) -> None:
    """A password for a profile of one's own must not open what has become another's meanwhile."""
    rule = """
polkit.addRule(function(action, subject) {
    if (subject.user == "carol" && action.id == "org.netjail.manage-own") return "auth_admin";
});
"""
    world.write("/etc/polkit-1/rules.d/30-carol.rules", rule)
    time.sleep(0.5)
    root, carol = people["root"], world.client("carol")
    carol.agent("slow")
    added = carol.ask("profile.add", name="contested", text=none(), replace=True)
    assert carol.prompts.get(timeout=5)["action"] == names.ACTION_MANAGE_OWN
    root.ask("profile.add", name="contested", text=none()).get()
    with pytest.raises(BusError, match="has changed since"):
        added.get()
    assert "users" not in root.ask("profile.get", name="contested").get()["text"]
    root.ask("profile.remove", name="contested").get()
    world.path("/etc/polkit-1/rules.d/30-carol.rules").unlink()


# Where from --------------------------------------------------------------------------------------


ASK = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("/run/netjail/socket")
s.sendall(json.dumps({"v": 1, "id": 1, "method": sys.argv[1], "params": json.loads(sys.argv[2])})
          .encode() + b"\\n")
print(s.makefile().readline())
"""


def ask_from(world: World, *wrapper: str, user: str | None, method: str, params: str) -> str:
    done = world.run(*wrapper, sys.executable, "-c", ASK, method, params, user=user)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_caller_in_another_namespace(world: World, made: Made) -> None:
    name = made(up=True)
    params = f'{{"profile": "{name}"}}'
    up_ = {"method": "up", "params": params}
    assert '"result"' in ask_from(world, user="alice", **up_)
    said = ask_from(world, "unshare", "-Um", user="alice", **up_)
    assert "user namespace of its own" in said and REFUSED in said
    said = ask_from(world, "unshare", "-m", *drop("alice"), user=None, **up_)
    assert "mount namespace of its own" in said and REFUSED in said
    said = ask_from(
        world, "ip", "netns", "exec", f"netjail-{name}", *drop("alice"), user=None, **up_
    )
    assert f"runs inside profile {name}" in said and REFUSED in said
    # looking is free, and root is root
    free = {"method": "status", "params": params}
    assert '"result"' in ask_from(world, "unshare", "-m", *drop("alice"), user=None, **free)
    assert '"result"' in ask_from(world, "unshare", "-m", user=None, **up_)


def drop(user: str) -> list[str]:
    return ["setpriv", "--reuid", str(USERS[user]), "--regid", str(USERS[user]), "--clear-groups"]


def test_a_process_that_has_gone_cannot_ask(world: World, made: Made) -> None:
    """The connection is handed on by a process that has ended: whose session would it be?"""
    name = made()
    code = """
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
child = os.fork()
if child == 0:
    s.connect("/run/netjail/socket")
    os._exit(0)
os.waitpid(child, 0)
import time; time.sleep(0.2)
s.sendall(json.dumps({"v": 1, "id": 1, "method": "up", "params": {"profile": sys.argv[1]}})
          .encode() + b"\\n")
print(s.makefile().readline())
"""
    done = world.run(sys.executable, "-c", code, name, user="alice")
    # Seen in time or not: polkit finds no such process.
    assert REFUSED in done.stdout, done


# Without polkit ----------------------------------------------------------------------------------


def test_without_polkit_only_root(world: World, people: People, made: Made) -> None:
    name = made()
    world.stop_polkit()
    try:
        with pytest.raises(BusError, match="only root may use netjail here: polkit cannot be"):
            people["dave"].ask("up", profile=name).get()
        error = people["alice"].error(path(name), P + "Up", "a{sv}", {})
        assert error.name == BUS_REFUSED and "polkit cannot be reached" in error.message
        assert up(people["root"], name) == "yes"
    finally:
        world.start_polkit()
    assert down(people["alice"], name) == "yes"


def test_a_policy_that_is_not_installed(world: World, people: People, made: Made) -> None:
    name = made()
    policy = world.path("/usr/share/polkit-1/actions/org.netjail.policy")
    text = policy.read_text()
    policy.unlink()
    time.sleep(0.5)
    try:
        with pytest.raises(BusError, match="polkit does not know netjail's action"):
            people["alice"].ask("up", profile=name).get()
    finally:
        world.write("/usr/share/polkit-1/actions/org.netjail.policy", text)
        time.sleep(0.5)
    assert up(people["alice"], name) == "yes"


# The example in the docs -------------------------------------------------------------------------


def test_the_example_rules_file(world: World, people: People) -> None:
    rules = (Path(__file__).parents[2] / "docs/examples/50-netjail.rules").read_text()
    world.write("/etc/polkit-1/rules.d/50-netjail.rules", rules)
    time.sleep(0.5)
    root = people["root"]
    for name in ("lab", "other"):
        root.ask("profile.add", name=name, text=none()).get()
    erin, carol = world.client("erin"), people["carol"]
    assert up(erin, "lab") == "yes"
    assert up(erin, "other") == REFUSED
    assert up(carol, "lab") == REFUSED
    with pytest.raises(BusError, match=r"you may not use profile other \(polkit"):
        erin.ask("up", profile="other").get()
    assert replace(erin, "lab", none([])) == REFUSED
    for name in ("lab", "other"):
        root.ask("profile.remove", name=name, down=True).get()
    world.path("/etc/polkit-1/rules.d/50-netjail.rules").unlink()
    time.sleep(0.5)


def test_the_rules_in_the_docs(world: World, people: People) -> None:
    text = (Path(__file__).parents[2] / "docs/authorisation.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in text.split("```js\n")[1:]]
    example = (Path(__file__).parents[2] / "docs/examples/50-netjail.rules").read_text()
    assert blocks[0] in example
    world.write("/etc/polkit-1/rules.d/30-docs.rules", "".join(blocks))
    time.sleep(0.5)
    alice, erin = people["alice"], people["erin"]
    people["root"].ask("profile.add", name="lab", text=none()).get()
    people["root"].call(MANAGER, M + "GetProfile", "sa{sv}", "lab", {})
    assert up(erin, "lab") == "yes"
    assert replace(alice, "own", none()) == REFUSED  # the last of the blocks
    people["root"].ask("profile.remove", name="lab", down=True).get()
    world.path("/etc/polkit-1/rules.d/30-docs.rules").unlink()
    time.sleep(0.5)
    assert replace(alice, "own", none()) == "yes"
    alice.ask("profile.remove", name="own").get()


def test_nothing_of_the_machine_was_touched(world: World) -> None:
    assert RULES and PASSWORD
    assert not os.path.exists("/etc/polkit-1/rules.d/40-test.rules")
    with open("/etc/passwd", encoding="utf-8") as passwd:
        assert "/run/home/alice" not in passwd.read()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
