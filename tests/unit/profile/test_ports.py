# SPDX-License-Identifier: GPL-3.0-or-later
"""[[forward]] and [[expose]]: single values, and tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.errors import NetjailError
from netjail.profile import portchecks, ports, toml
from netjail.profile.checks import Bad
from netjail.profile.model import Port

TOP = 'version = 1\n[uplink]\nkind = "none"\n'
NUMBERS = st.integers(1, 65535)
HOSTS = st.one_of(
    st.just("localhost"),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda a: f"[{a}]"),
)


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.floats(), st.binary(max_size=9)))
def test_any_value_is_read_or_refused_with_a_reason(value: object) -> None:
    for read in (
        portchecks.listen,
        portchecks.listen_inside,
        portchecks.target,
        portchecks.target_outside,
        portchecks.label,
    ):
        try:
            text = read(value)
        except Bad as bad:
            assert bad.why
            continue
        assert read(text) == text


@given(HOSTS, NUMBERS)
def test_what_listens_is_one_address_or_both_loopbacks(host: str, number: int) -> None:
    try:
        text = portchecks.listen(f"{host}:{number}")
    except Bad:
        return
    found = portchecks.addresses(text)
    assert len(found) == (2 if host == "localhost" else 1)
    assert all(port == number for _, port in found)
    if portchecks.on_loopback(text):
        assert all(address.startswith("127.") or address == "::1" for address, _ in found)


@given(st.lists(st.tuples(st.sampled_from(["forward", "expose"]), NUMBERS, NUMBERS), max_size=9))
def test_tables_are_read_as_they_were_written(rows: list[tuple[str, int, int]]) -> None:
    text = TOP + "".join(f"[[{way}]]\nlisten = {a}\nto = {b}\n" for way, a, b in rows)
    try:
        profile, _ = toml.parse("x", text)
    except NetjailError as error:
        assert len({(way, a) for way, a, _ in rows}) < len(rows), error.problems
        return
    assert len(profile.ports) == len(rows)
    assert toml.parse("x", toml.dump(profile))[0] == profile


BAD = [
    ('[[forward]]\nlisten = "0.0.0.0:80"\n[[forward]]\nlisten = "127.0.0.1:80"\n', "already"),
    ('[[forward]]\nlisten = 80\n[[forward]]\nlisten = "[::1]:80"\n', "already"),
    ('[[forward]]\nlisten = "fe80::1:80"\n', "without brackets"),
    ('[[forward]]\nlisten = "[fe80::1]:80"\n', "link-local"),
    ('[[forward]]\nlisten = "example.org:80"\n', "something else than an address"),
    ('[[forward]]\nlisten = "[::ffff:127.0.0.1]:80"\n', "clothes"),
    ('[[forward]]\nlisten = "127.0.0.1:0"\n', "1 to 65535"),
    ('[[forward]]\nlisten = 80\nto = "0.0.0.0:80"\n', "no address one can connect to"),
    ('[[forward]]\nlisten = 80\nto = "unix:/run/x"\n', "as seen in the jail"),
    ('[[forward]]\nlisten = 80\nprotocol = "sctp"\n', "tcp"),
    ('[[expose]]\nlisten = "0.0.0.0:80"\n', "not an address of the jail's loopback"),
    ('[[expose]]\nlisten = 80\nto = "unix:/run/../etc/x"\n', "plain path"),
    ('[[expose]]\nlisten = 80\nto = "unix:x"\n', "path from the root"),
    ('[[expose]]\nlisten = 80\nto = "unix:/x"\nprotocol = "udp"\n', "not for UDP"),
    ("[forward]\nlisten = 80\n", r"write [[forward]]"),
    ("".join(f"[[forward]]\nlisten = {n}\n" for n in range(1, 66)), "at most 64"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_makes_no_port_is_refused(text: str, says: str) -> None:
    with pytest.raises(NetjailError) as caught:
        toml.parse("x", TOP + text)
    assert any(says in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("port", "harmless"),
    [
        (("forward", "tcp", "localhost:1024", "localhost:80"), True),
        (("forward", "tcp", "127.0.0.1:1023", "localhost:80"), False),
        (("forward", "tcp", "0.0.0.0:9091", "localhost:80"), False),
        (("forward", "udp", "[::]:9091", "localhost:80"), False),
        (("forward", "udp", "[::1]:9091", "10.0.0.1:80"), True),
        (("expose", "tcp", "localhost:80", "localhost:11434"), True),
        (("expose", "tcp", "localhost:8080", "localhost:631"), False),
        (("expose", "tcp", "localhost:8080", "192.168.1.1:8080"), False),
        (("expose", "tcp", "localhost:8080", "unix:/run/x"), False),
    ],
)
def test_what_any_user_could_do_takes_no_administrator(port: Any, harmless: bool) -> None:
    assert portchecks.harmless(Port(*port)) is harmless


def test_words_of_a_command_are_read_as_a_file_is() -> None:
    words = {"way": "forward", "listen": "9091", "to": None, "protocol": "tcp", "name": ""}
    assert ports.from_words(words) == Port("forward", "tcp", "localhost:9091", "localhost:9091")
    with pytest.raises(Bad):
        ports.from_words({**words, "way": "expose", "to": "unix:/x", "protocol": "udp"})
