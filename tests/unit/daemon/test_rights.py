# SPDX-License-Identifier: GPL-3.0-or-later
"""What requests need, and how the needs are asked for."""

from __future__ import annotations

import dataclasses
import os
import pwd
import tomllib
from typing import Any

import fake_engine
import pytest
from hypothesis import given
from hypothesis import strategies as st
from manager_stage import Stage

from netjail import names
from netjail.daemon import methods, origin, rights
from netjail.daemon.authorise import Cancel, Need, Peer, Verdict, authorise
from netjail.errors import NetjailError
from netjail.profile import switch, toml

USER = Peer(uid=1, gid=1, pid=2, start=3)
USER_NAME = pwd.getpwuid(1).pw_name
RUN, CONTROL, REVEAL = names.ACTION_RUN, names.ACTION_CONTROL, names.ACTION_REVEAL
CAPTURE = names.ACTION_CAPTURE
OWN, MANAGE = names.ACTION_MANAGE_OWN, names.ACTION_MANAGE


class FakeGate:
    """Answers what is in `says`, or keeps the question when nothing is."""

    def __init__(self) -> None:
        self.asked: list[Need] = []
        self.open: dict[Need, Verdict] = {}
        self.cancelled: list[Need] = []
        self.no: set[str] = set()
        self.waits: set[str] = set()

    def refuses(self, peer: Peer) -> NetjailError | None:
        return None

    def ask(self, peer: Peer, need: Need, interactive: bool, verdict: Verdict) -> Cancel:
        self.asked.append(need)
        if need.action in self.waits:
            self.open[need] = verdict
        elif need.action in self.no:
            verdict(NetjailError("not-authorised", f"not {need.action}"))
        else:
            verdict(None)
        return lambda: self.cancelled.append(need)


@pytest.fixture
def gate(started: Stage) -> FakeGate:
    gate = FakeGate()
    started.manager.gate = gate
    return gate


def put(stage: Stage, name: str, users: tuple[str, ...] = (), **options: Any) -> None:
    profile = dataclasses.replace(fake_engine.profile(name, **options), users=users)
    stage.store.put(profile)


def test_every_method_has_a_rule(started: Stage) -> None:
    missing = set(methods.METHODS) - set(started.manager.rights._rules) - {"hello"}
    assert not missing, f"only root can use {missing}"
    with pytest.raises(NetjailError, match="only root"):
        started.manager.rights.grant(USER, "something new", {})


def test_ports_that_anybody_may_have_are_ones_own_business_others_the_administrators(
    started: Stage,
) -> None:
    put(started, "a")
    put(started, "o", (USER_NAME,))

    def needed(method: str, profile: str, **more: str) -> list[str]:
        params = methods.check(method, {"profile": profile, "listen": "9091", **more})
        return [n.action for n in started.manager.rights.grant(USER, method, params).needs]

    assert needed("port.add", "o") == needed("port.remove", "o") == [OWN]
    assert needed("port.add", "o", way="expose") == [OWN]
    assert needed("port.add", "a") == needed("port.remove", "a") == [MANAGE]
    assert needed("port.add", "o", listen="80") == [MANAGE]
    assert needed("port.add", "o", listen="0.0.0.0:9091") == [MANAGE]
    assert needed("port.add", "o", way="expose", to="localhost:631") == [MANAGE]
    assert needed("port.add", "o", way="expose", to="unix:/run/x") == [MANAGE]
    with pytest.raises(NetjailError, match="no port"):
        needed("port.add", "o", listen="x")
    put(started, "p", ("root",))
    with pytest.raises(NetjailError, match="other users"):
        needed("port.add", "p")


def test_a_profile_with_ports_is_ones_own_only_where_anybody_may_have_them(
    started: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started.store, "parse", toml.parse)
    for text, action in (
        ("listen = 9091", OWN),
        ("listen = 80", MANAGE),
        ('listen = "0.0.0.0:9091"', MANAGE),
    ):
        file = f'version = 1\n[uplink]\nkind = "none"\n[[forward]]\n{text}\n'
        params = methods.check("profile.add", {"name": "new", "text": file})
        grant = started.manager.rights.grant(USER, "profile.add", params)
        assert [need.action for need in grant.needs] == [action], text


def test_a_capture_shows_what_is_ones_own_or_takes_an_administrator(
    started: Stage, gate: FakeGate
) -> None:
    put(started, "a")
    put(started, "o", (USER_NAME,))
    put(started, "p", (USER_NAME, "root"))
    for name, action in (("a", CAPTURE), ("o", RUN), ("p", CAPTURE)):
        grant = started.manager.rights.grant(USER, "capture", {"profile": name})
        assert grant.needs == (Need(action, name, "none"),)
        assert grant.params["uid"] == USER.uid


def test_leases_name_no_profile_of_others(started: Stage, gate: FakeGate) -> None:
    put(started, "secret", ("nobody-at-all",))
    put(started, "t")
    rows = [{"mac": "m", "profile": name} for name in ("secret", "t", None)]
    result = {"profile": {"programs": [], "given": rows}}
    trimmed = started.manager.rights.trim(USER.uid, "status", result)
    assert [row["profile"] for row in trimmed["profile"]["given"]] == [None, "t", None]


def test_a_picture_has_nothing_of_others(started: Stage, gate: FakeGate) -> None:
    put(started, "secret", ("nobody-at-all",))
    put(started, "t", through="secret")
    row = {"through": "secret", "links": [{"peer": "secret"}, {"peer": "t"}, {"peer": None}]}
    result = {"profiles": [{"name": "t", **row}, {"name": "secret", **row}], "switches": [1]}
    trimmed = started.manager.rights.trim(USER.uid, "graph", result)
    links = [{"peer": "t"}, {"peer": None}]
    assert trimmed["profiles"] == [{"name": "t", "through": None, "links": links}]
    found = started.ask("graph", peer=USER).result
    assert [row["name"] for row in found["profiles"]] == ["t"]


def test_the_doctor_names_no_profile_to_others_than_root(started: Stage, gate: FakeGate) -> None:
    rows = [
        {"code": code, "title": title, "status": "error", "text": "its key is x", "hint": None}
        for code, title in (("profile", "profile secret"), ("exposed", "/etc/secret"))
    ]
    fine = {"code": "nft", "title": "nft", "status": "ok", "text": "there", "hint": None}
    trim = started.manager.rights.trim
    assert trim(0, "doctor", {"checks": [fine, *rows]})["checks"] == [fine, *rows]
    found = trim(USER.uid, "doctor", {"checks": [fine, *rows]})["checks"]
    assert found[0] == fine and len(found) == 2
    assert "secret" not in str(found) and "key" not in str(found)
    assert trim(USER.uid, "doctor", {"checks": [fine]})["checks"] == [fine]


def test_root_is_asked_nothing(started: Stage, gate: FakeGate) -> None:
    put(started, "a", ("nobody-at-all",))
    assert started.ask("up", profile="a").result["state"] == "up"
    assert gate.asked == []


@pytest.mark.parametrize(
    ("method", "params", "needs"),
    [
        ("list", {}, []),
        ("status", {"profile": "a"}, []),
        ("doctor", {}, []),
        ("up", {"profile": "a"}, [Need(RUN, "a", "none")]),
        ("up", {"profile": "t"}, [Need(RUN, "t", "wireguard"), Need(RUN, "a", "none")]),
        ("down", {"profiles": ["a", "o"]}, [Need(RUN, "a", "none"), Need(RUN, "o", "none")]),
        ("profile.get", {"name": "a"}, [Need(REVEAL, "a", "none")]),
        ("profile.get", {"name": "o"}, [Need(OWN, "o", "none")]),
        ("profile.get", {"name": "nobody"}, []),
        ("profile.remove", {"name": "a"}, [Need(MANAGE, "a", "none")]),
        ("profile.remove", {"name": "o"}, [Need(OWN, "o", "none")]),
        ("use", {"profile": "a"}, [Need(RUN, "a", "none")]),
        ("use", {"profile": "o", "place": "se"}, [Need(RUN, "o", "none")]),
        ("use", {"profile": "t"}, [Need(RUN, "t", "wireguard"), Need(RUN, "a", "none")]),
        ("use", {"profile": "z"}, []),  # others': nothing to be asked
        ("places", {"profile": "a"}, []),
        ("places", {"profile": "z"}, []),
        ("switch.list", {}, []),
        ("switch.status", {"switch": "s"}, []),
        ("switch.get", {"name": "s"}, []),
        ("switch.check", {"name": "s", "text": "version = 1"}, []),
        ("switch.add", {"name": "t", "text": "version = 1"}, [Need(MANAGE, "t", "switch")]),
        ("switch.remove", {"name": "s"}, [Need(MANAGE, "s", "switch")]),
    ],
)
def test_needs(
    started: Stage,
    gate: FakeGate,
    method: str,
    params: dict[str, Any],
    needs: list[Need],
) -> None:
    put(started, "a")
    put(started, "o", (USER_NAME,))
    put(started, "t", through="a")
    put(started, "z", ("nobody-at-all",))
    started.rooms.switches.texts["s"] = "version = 1"
    try:
        started.ask(method, peer=USER, **params).result  # noqa: B018
    except NetjailError as error:
        others = params.get("profile") == "z"
        assert error.code in (("not-authorised",) if others else ("no-such-profile", "no-pool"))
    assert gate.asked == needs


def test_everything_down_is_what_one_sees(started: Stage, gate: FakeGate) -> None:
    put(started, "a")
    put(started, "b", ("nobody-at-all",))
    for name in ("a", "b"):
        started.ask("up", profile=name).result  # noqa: B018
    rows = started.ask("down", peer=USER, profiles=None).result["results"]
    assert [row["profile"] for row in rows] == ["a"]
    assert gate.asked == [Need(RUN, "a", "none")]
    assert started.state("b") == "up"


def test_others_programs_take_control(started: Stage, gate: FakeGate) -> None:
    put(started, "a")
    started.ask("up", profile="a").result  # noqa: B018
    mine = fake_engine.FakeProgram("a", os.getpid(), uid=1)
    other = fake_engine.FakeProgram("a", os.getppid(), uid=2)
    grant = started.manager.rights.grant
    started.engine.inside = [mine]
    kill = {"profile": "a", "pids": None, "signal": 15}
    down = {"profiles": ["a"], "kill": True}
    run, control = Need(RUN, "a", "none"), Need(CONTROL, "a", "none")
    assert grant(USER, "kill", kill).needs == (run,)
    # who comes in meanwhile is not meant
    assert grant(USER, "kill", kill).params["uid"] == 1
    assert grant(USER, "down", down).needs == (run,)
    started.engine.inside = [mine, other]
    assert grant(USER, "kill", kill).needs == (run, control)
    assert grant(USER, "kill", {**kill, "pids": [mine.pid]}).needs == (run,)
    assert grant(USER, "down", down).needs == (run, control)
    assert grant(USER, "down", {**down, "kill": False}).needs == (run,)


def test_what_was_granted_must_still_be_enough(started: Stage, gate: FakeGate) -> None:
    put(started, "o", (USER_NAME,))
    gate.waits = {OWN}
    asked = started.ask("profile.remove", peer=USER, name="o")
    started.until(lambda: bool(gate.open))
    put(started, "o")  # it is everybody's by now
    gate.open[Need(OWN, "o", "none")](None)
    assert "has changed since" in str(asked.error)
    assert "o" in started.store.names()


def test_whoever_goes_takes_the_question_along(started: Stage, gate: FakeGate) -> None:
    put(started, "a")
    gate.waits = {RUN}
    asked = started.ask("up", peer=USER, profile="a")
    started.until(lambda: bool(gate.open))
    assert started.manager.busy
    assert asked.call is not None
    asked.call.abandon()
    assert gate.cancelled == [Need(RUN, "a", "none")]
    assert not started.manager.busy
    gate.open[Need(RUN, "a", "none")](None)  # too late
    assert started.state("a") == "down" and not asked.done


def test_one_after_the_other_and_the_first_no_counts() -> None:
    gate, said = FakeGate(), []
    gate.no = {CONTROL}
    needs = [Need(RUN, "a"), Need(CONTROL, "a"), Need(RUN, "b")]
    authorise(gate, USER, needs, True, said.append)
    assert gate.asked == needs[:2]
    assert [str(each) for each in said] == [f"not {CONTROL}"]


def test_elsewhere_nothing_is_asked() -> None:
    gate, said = FakeGate(), []
    away = dataclasses.replace(USER, elsewhere=NetjailError("not-authorised", "away"))
    authorise(gate, away, [Need(RUN, "a")], True, said.append)
    assert [str(each) for each in said] == ["away"] and gate.asked == []
    authorise(gate, away, [], True, said.append)  # looking is free
    assert said[1] is None


def test_so_many_requests_and_no_more(started: Stage, gate: FakeGate) -> None:
    put(started, "a")
    gate.waits = {RUN}
    asked = [started.ask("up", peer=USER, profile="a") for _ in range(33)]
    assert "32 requests going on" in str(asked[-1].error)
    other = dataclasses.replace(USER, uid=2)
    assert started.ask("list", peer=other).result
    assert started.ask("list").result
    for each in asked[:-1]:
        assert each.call is not None
        started.until(lambda: len(gate.open) > 0)
        each.call.abandon()
    assert started.ask("list", peer=USER).result


def test_a_caller_cannot_be_the_process_that_took_its_number() -> None:
    peer = origin.of_process(1, 1, 1 << 22)
    assert peer.elsewhere is not None and "has ended" in str(peer.elsewhere)
    me = origin.of_process(12345, 1, os.getpid())
    assert me.elsewhere is None and me.start == origin.start_time(os.getpid())


texts = st.sampled_from(
    [
        'version = 1\n[uplink]\nkind = "none"\n',
        '\n# mine\n\n  # yes\nversion = 1\nuplink.kind = "none"\n',
        '[uplink]\nkind = "none"\n',
        '# one line\u2028still it\r\nversion = 1\r\n[uplink]\r\nkind = "none"',
        '\ufeffuplink = { kind = "none" }\nversion = 1',
    ]
)


@given(texts, st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=20))
def test_a_text_made_one_s_own_says_the_same_and_whose_it_is(text: str, user: str) -> None:
    mine = rights.own_text(text, user)
    assert tomllib.loads(mine) == {"users": [user], **tomllib.loads(text.removeprefix("\ufeff"))}
    try:
        profile, _ = toml.parse("x", mine)
    except NetjailError:
        return
    assert profile.users == (user,)


def test_a_profile_with_a_link_is_not_ones_own_to_make(started: Stage, gate: FakeGate) -> None:
    """Whoever is on the switch, or at the other end, may be anybody's profile."""
    text = 'version = 1\n[uplink]\nkind = "none"\n[[link]]\nswitch = "s"\n'
    started.store.parse = toml.parse  # type: ignore[method-assign]
    grant = started.manager.rights.grant(USER, "profile.add", {"name": "n", "text": text})
    assert grant.needs == (Need(MANAGE, "n", "none"),)
    alone = text.partition("[[link]]")[0]
    grant = started.manager.rights.grant(USER, "profile.add", {"name": "n", "text": alone})
    assert grant.needs == (Need(OWN, "n", "none"),)


def test_who_is_on_a_switch_is_told_to_those_who_may_know(started: Stage, gate: FakeGate) -> None:
    put(started, "a")
    put(started, "secret", ("nobody-at-all",))
    port = {"kind": "profile", "interface": "s", "vlan": None, "addresses": []}
    started.rooms.switches.texts["s"] = "version = 1"
    started.engine.switched["s"] = {
        "engine": "bridge",
        "ports": [
            {**port, "port": "a.s", "profile": "a", "mac": "02:00:00:00:00:01"},
            {**port, "port": "secret.s", "profile": "secret", "mac": "02:00:00:00:00:02"},
        ],
        "macs": [{"mac": "02:00:00:00:00:02", "port": "secret.s", "vlan": None}],
        "neighbours": [{"address": "10.0.0.2", "lladdr": "02:00:00:00:00:02", "state": "STALE"}],
    }
    seen = started.ask("switch.status", peer=USER, switch="s").result["switch"]
    assert [p["profile"] for p in seen["ports"]] == ["a"]
    assert "secret" not in str(seen)
    assert seen["neighbours"] == []
    assert len(started.ask("switch.status", switch="s").result["switch"]["ports"]) == 2


def test_a_switch_that_names_what_is_hidden_is_shown_to_administrators(
    started: Stage, gate: FakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(started, "a")
    put(started, "secret", ("nobody-at-all",))
    head = 'version = 1\n[dhcp]\nrange = "10.0.0.10-10.0.0.20"\n[dhcp.hosts]\n'
    loaded = switch.parse("s", head + '"02:00:00:00:00:01" = "10.0.0.12"\na = "10.0.0.11"\n')
    monkeypatch.setattr(started.rooms.switches, "load", lambda name: loaded[0], raising=False)
    needs = started.manager.rights.grant(USER, "switch.get", {"name": "s"}).needs
    assert needs == ()
    loaded = switch.parse("s", head + 'secret = "10.0.0.11"\n')
    needs = started.manager.rights.grant(USER, "switch.get", {"name": "s"}).needs
    assert needs == (Need(REVEAL, "s", "switch"),)


def test_a_switch_that_is_up_is_kept(started: Stage) -> None:
    started.rooms.switches.texts["s"] = "version = 1"
    started.engine.switched["s"] = {"engine": "bridge", "ports": [{"profile": "a"}]}
    error = started.ask("switch.remove", name="s").error
    assert error.code == "in-use"
    assert "a is on it" in error.message
    assert started.ask("switch.list").result["switches"][0]["state"] == "up"
    answer = started.ask("switch.add", name="s", text="version = 1", replace=True).result
    assert "next `netjail up`" in answer["warnings"][0]
    del started.engine.switched["s"]
    assert started.ask("switch.remove", name="s").result == {"members": []}
    assert started.ask("switch.get", name="s").error.code == "no-such-switch"


def test_an_openvpn_profile_may_be_ones_own(started: Stage, gate: FakeGate) -> None:
    """It can say neither a port of the host nor a mark, and its client has no right at all."""
    text = (
        'version = 1\n[uplink]\nkind = "openvpn"\nremote = ["127.0.0.1:22/tcp"]\nlogin = true\n'
        'ca = """\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"""\n'
    )
    started.store.parse = toml.parse  # type: ignore[method-assign]
    grant = started.manager.rights.grant(USER, "profile.add", {"name": "n", "text": text})
    assert grant.needs == (Need(OWN, "n", "openvpn"),)
    through = text.replace("login", 'through = "secret"\nlogin')
    put(started, "secret", ("nobody-at-all",))
    with pytest.raises(NetjailError, match="for other users only"):
        started.manager.rights.grant(USER, "profile.add", {"name": "n", "text": through})
