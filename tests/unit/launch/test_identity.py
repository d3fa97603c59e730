# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a program runs as, and with which environment."""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest

from netjail.errors import NetjailError
from netjail.launch import identity


class Entry(NamedTuple):
    """As pwd.struct_passwd."""

    pw_name: str
    pw_uid: int
    pw_gid: int
    pw_dir: str
    pw_shell: str


DIGITS = Entry("7002", 7003, 7003, "/", "")
USERS = [
    Entry("root", 0, 0, "/root", "/bin/sh"),
    Entry("twin", 7001, 7001, "/home/twin", ""),
    Entry("alice", 7001, 7001, "/home/alice", "/bin/zsh"),
    Entry("bob", 7002, 7002, "", ""),
]


@pytest.fixture(autouse=True)
def users(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    entries = list(USERS)

    def by(field: str, value: object) -> Entry:
        for entry in entries:
            if getattr(entry, field) == value:
                return entry
        raise KeyError(value)

    monkeypatch.setattr(identity.pwd, "getpwnam", lambda name: by("pw_name", name))
    monkeypatch.setattr(identity.pwd, "getpwuid", lambda uid: by("pw_uid", uid))
    monkeypatch.setattr(identity.posix, "getgrouplist", lambda name, gid: [gid, 100])
    monkeypatch.setattr(identity, "_RUN_USER", "/nonexistent")
    return entries


def sudo(uid: bytes, gid: bytes = b"", name: bytes = b"") -> identity.Env:
    return {b"SUDO_UID": uid, b"SUDO_GID": gid, b"SUDO_USER": name}


def test_without_anything_nothing_changes() -> None:
    assert identity.resolve(None, {}) is None
    assert identity.resolve(None, {b"SUDO_USER": b"alice"}) is None
    assert identity.resolve(None, {b"SUDO_UID": b""}) is None


@pytest.mark.parametrize("user", ["root", "0", "#0"])
def test_root_changes_nothing(user: str) -> None:
    assert identity.resolve(user, sudo(b"7001")) is None
    assert identity.resolve(None, sudo(b"0", b"0", b"root")) is None


def test_the_caller_of_sudo() -> None:
    who = identity.resolve(None, sudo(b"7001", b"7100", b"alice"))
    assert who is not None
    assert (who.name, who.uid, who.gid, who.groups) == ("alice", 7001, 7100, [7100, 100])
    assert (who.home, who.shell, who.by_sudo) == ("/home/alice", "/bin/zsh", True)


def test_two_names_with_one_number() -> None:
    for name in (b"twin", b"alice"):
        who = identity.resolve(None, sudo(b"7001", name=name))
        assert who is not None
        assert who.name == name.decode()
    who = identity.resolve(None, sudo(b"7001", name=b"bob"))
    assert who is not None
    assert who.name == "twin"  # the number decides


@pytest.mark.parametrize("uid", [b"x", b"-1", b"7999", b"4294967295", b"99999999999", b"00", b" 1"])
def test_a_caller_who_is_nobody_is_an_error(uid: bytes) -> None:
    with pytest.raises(NetjailError) as caught:
        identity.resolve(None, sudo(uid))
    assert caught.value.code == "usage"


@pytest.mark.parametrize("user", ["nosuch", "7999", "#7999", "", "\0", "-1", "4294967296"])
def test_a_user_who_is_nobody_is_an_error(user: str) -> None:
    with pytest.raises(NetjailError) as caught:
        identity.resolve(user, {})
    assert caught.value.code == "usage"


def test_user_by_name_and_number(users: list[Entry]) -> None:
    for user in ("bob", "7002", "#7002"):
        who = identity.resolve(user, sudo(b"7001"))
        assert who is not None
        assert (who.uid, who.home, who.shell, who.by_sudo) == (7002, "/", "/bin/sh", False)
    users.append(DIGITS)
    who = identity.resolve("7002", {})
    assert who is not None
    assert who.uid == 7003  # names come first


def test_environment_as_it_is() -> None:
    env = {b"A": b"1", b"SUDO_UID": b"7001", b"LC_CTYPE": b"de_DE.UTF-8"}
    got = identity.environment(None, env)
    assert got == env
    assert got is not env


def test_environment_of_somebody_else() -> None:
    env = {
        b"A": b"1",
        b"HOME": b"/root",
        b"SUDO_UID": b"1",
        b"SUDO_COMMAND": b"x",
        b"SUDOKU": b"y",
        b"XDG_RUNTIME_DIR": b"/run/user/1",
        b"DBUS_SESSION_BUS_ADDRESS": b"unix:path=/x",
        b"DISPLAY": b":0",
    }
    who = identity.resolve("alice", {})
    assert identity.environment(who, env) == {
        b"A": b"1",
        b"HOME": b"/home/alice",
        b"SHELL": b"/bin/zsh",
        b"USER": b"alice",
        b"LOGNAME": b"alice",
        b"MAIL": b"/var/mail/alice",
        b"SUDOKU": b"y",
        b"DISPLAY": b":0",
    }


def test_what_the_caller_of_sudo_kept_is_his_own() -> None:
    env = sudo(b"7001") | {b"DBUS_SESSION_BUS_ADDRESS": b"unix:abstract=x"}
    got = identity.environment(identity.resolve(None, env), env)
    assert got[b"DBUS_SESSION_BUS_ADDRESS"] == b"unix:abstract=x"


def test_taking_back_the_locale() -> None:
    # this process was not started with it
    before = os.environ.get("LC_CTYPE")
    got = identity.environment(None, {b"LC_CTYPE": b"C.UTF-8"})
    with open("/proc/self/environ", "rb") as file:
        original = dict(e.split(b"=", 1) for e in file.read().split(b"\0") if b"=" in e)
    assert got.get(b"LC_CTYPE") == original.get(b"LC_CTYPE")
    assert os.environ.get("LC_CTYPE") == before
