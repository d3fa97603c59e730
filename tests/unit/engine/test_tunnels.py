# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: what is asked for, what is remembered, and what is not tried again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netjail import names
from netjail.engine import conflicts, vpn
from netjail.engine.record import Records
from netjail.engine.tunnels import Condition, Tunnels
from netjail.errors import NetjailError
from netjail.uplinks.login import PASSWORD, RESPONSE, USERNAME, Ask, Login
from netjail.uplinks.naming import client_user, host_interface
from netjail.uplinks.wanted import VpnClient, from_json, to_json

ASKS = (Ask(USERNAME, "User name", True), Ask(PASSWORD, "Password"), Ask(RESPONSE, "Code"))


def client(asks=ASKS, login=Login()) -> VpnClient:  # noqa: B008 - it is frozen
    return VpnClient(
        *("openvpn", "vpn", "netjail-vpn", None, "nj-vpn", "tun0", None, (), (), ()),
        take_dns=True,
        config="secret text",
        login=login,
        asks=asks,
    )


def needs(tunnels: Tunnels, wanted: VpnClient) -> list[str]:
    try:
        tunnels.require([wanted])
    except NetjailError as error:
        assert error.code == "credentials-needed"
        again = NetjailError.from_dict(error.as_dict())
        assert again.wanted == error.wanted and all(w["profile"] == "vpn" for w in error.wanted)
        return [str(each["name"]) for each in error.wanted]
    return []


def test_what_nobody_has_said_is_asked_for() -> None:
    tunnels = Tunnels()
    assert needs(tunnels, client()) == [USERNAME, PASSWORD, RESPONSE]
    assert needs(tunnels, client(login=Login("carol", "pw"))) == [RESPONSE]
    tunnels.offer("vpn", Login("carol", "pw", "123"))
    assert needs(tunnels, client()) == []
    tunnels.used("vpn")
    assert needs(tunnels, client()) == [RESPONSE], "a code serves once"
    tunnels.forget("vpn")
    assert needs(tunnels, client()) == [USERNAME, PASSWORD, RESPONSE]


def test_a_login_that_was_refused_is_not_tried_again_until_there_is_another() -> None:
    tunnels, kept = Tunnels(), client(ASKS[:2], Login("carol", "old"))
    assert needs(tunnels, kept) == []
    tunnels.refuse("vpn", tunnels.login(kept))
    assert needs(tunnels, kept) == [USERNAME, PASSWORD]
    assert needs(tunnels, client(ASKS[:2], Login("carol", "new"))) == []
    tunnels.offer("vpn", Login(password="typed"))
    assert needs(tunnels, kept) == []


def test_no_record_and_no_repr_has_a_secret() -> None:
    wanted = client(login=Login("carol", "hunter2", "123", "opensesame"))
    shown = f"{wanted!r} {to_json(wanted)!r}"
    assert not any(word in shown for word in ("hunter2", "123", "opensesame", "secret text"))
    assert from_json(to_json(wanted)) == wanted, "secrets apart, which do not count"


class Waiting:
    def __init__(self, condition: Condition) -> None:
        self.now, self.given = condition, Login()

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def condition(self) -> Condition:
        return self.now

    def answer(self, login: Login) -> None:
        self.given = login

    def wait(self, seconds: float) -> Condition:
        return self.now


def test_a_client_that_waits_is_given_what_a_user_says() -> None:
    tunnels, session = Tunnels(), Waiting(Condition("refused", "wrong", ASKS[:2]))
    tunnels.follow("vpn", session)
    with pytest.raises(NetjailError, match="wrong"):
        tunnels.nudge([client(ASKS[:2])], None)
    given = Login("carol", "right")
    tunnels.offer("vpn", given)
    assert tunnels.nudge([client(ASKS[:2])], given) and session.given == given
    session.now = Condition("connected")
    assert not tunnels.nudge([client(ASKS[:2])], given)


def client_of(profile: str) -> VpnClient:
    return VpnClient(
        *("openvpn", profile, f"netjail-{profile}", None, host_interface(profile), "tun0"),
        *(None, (), (), ()),
        take_dns=True,
    )


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ("alice-119723", "mallory-16000", "the user number"),
        ("victim-profile-98", "victim-profile-fe06", "the interface name"),
    ],
)
def test_no_two_clients_share_a_user_or_an_interface(
    tmp_path: Path, first: str, second: str, what: str
) -> None:
    """Names are easily made so that their check sums are the same."""
    records = Records(str(tmp_path))
    conflicts.claim(first, [client_of(first)], records)
    conflicts.claim(first, [client_of(first)], records)
    with pytest.raises(NetjailError, match=what) as refused:
        conflicts.claim(second, [client_of(second)], records)
    assert refused.value.code == "conflict"
    records.forget(second)
    with pytest.raises(NetjailError, match=what):
        conflicts.claim(second, [client_of(second)], records)
    records.forget(first)
    conflicts.claim(second, [client_of(second)], records)


def test_a_clients_directory_becomes_its_users_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nobody else can put a link where root is about to write."""
    monkeypatch.setattr(names, "TUNNELS_DIR", str(tmp_path))
    path = tmp_path / "vpn"
    (path / "left").mkdir(parents=True)
    (path / "left" / "over").symlink_to("/etc/passwd")
    given: list[str] = []

    def chown(what: str, user: int, group: int, *, follow_symlinks: bool) -> None:
        assert (user, group, follow_symlinks) == (client_user("vpn"), client_user("vpn"), False)
        assert sorted(os.listdir(path)) == ["config", "key"], "all is written by now"
        given.append(os.path.relpath(what, path))

    monkeypatch.setattr(os, "chown", chown)
    vpn.directory("vpn", client_user("vpn"), {"config": "a", "key": "b"})
    assert given == ["config", "key", "."]
    assert path.stat().st_mode & 0o777 == 0o700
