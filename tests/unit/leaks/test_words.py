# SPDX-License-Identifier: GPL-3.0-or-later
"""What probes and users say, read with distrust; the document that lists all findings."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from netjail import names
from netjail.engine.leakfacts import files_differ
from netjail.errors import NetjailError
from netjail.leaks import outside, probe, reference, settings
from netjail.leaks.codes import CODES, GROUPS, LEVELS
from netjail.leaks.judge import judge
from netjail.leaks.model import Facts, Seen

DOC = Path(__file__).parents[3] / "docs" / "leak-check.md"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(sorted(Seen.__dataclass_fields__))


@effort(max_examples=40)
@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_whatever_a_forged_probe_says_can_be_judged(data: dict[str, Any]) -> None:
    seen = Seen.parse(json.dumps({**data, "version": 1}))
    facts = Facts("x", "wireguard", "4:1", tunnel=True, host_allowed=False)
    for finding in judge(seen, seen, facts):
        json.dumps(finding.as_dict("x")).encode()


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "{}", "[" * 100_000, '{"version": 2}'])
def test_what_is_no_answer_of_a_probe_is_refused(text: str) -> None:
    with pytest.raises(NetjailError) as refused:
        Seen.parse(text)
    assert refused.value.code == "bad-request"


def test_what_the_probe_says_here_is_understood() -> None:
    seen = Seen.parse(outside.look({}))
    assert seen.netns and seen.interfaces and seen.sent == ()
    assert set(seen.sources) == {"ipv4", "ipv6"}


@pytest.mark.parametrize(
    ("page", "family", "address"),
    [
        ("192.0.2.1\n", socket.AF_INET, "192.0.2.1"),
        ('{"ip": "192.0.2.1", "port": 5}', socket.AF_INET, "192.0.2.1"),
        ("<b>You are 2001:DB8::1.</b>", socket.AF_INET6, "2001:db8::1"),
        ("version 1.2.3, at 12:30", socket.AF_INET, None),
        ("192.0.2.1", socket.AF_INET6, None),
    ],
)
def test_the_address_in_a_page(page: str, family: int, address: str | None) -> None:
    assert probe.first_address(page, family) == address


@given(st.binary(max_size=600))
def test_a_dns_answer_of_any_form_does_no_harm(message: bytes) -> None:
    probe.answered(message.ljust(12, b"\0"))


def test_the_address_in_a_dns_answer() -> None:
    question = b"\1a\7example\0\0\1\0\1"
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\0\0\2\xc0\x0e"
    record = b"\xc0\x0e\0\1\0\1\0\0\0\0\0\4\xc0\0\2\x07"
    head = b"\0\1\x81\x80\0\1\0\2\0\0\0\0"
    assert probe.answered(head + question + alias + record) == "192.0.2.7"
    assert probe.answered(head + question + alias) is None


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://ip.example", ("http", "ip.example", 80, "/")),
        ("https://ip.example:8443/me?x=1", ("https", "ip.example", 8443, "/me?x=1")),
        ("http://[2001:db8::1]/", ("http", "2001:db8::1", 80, "/")),
    ],
)
def test_urls(url: str, parts: tuple[str, str, int, str]) -> None:
    assert settings.URL.fullmatch(url)
    assert probe.split(url) == parts


@pytest.mark.parametrize(
    "url", ["ip.example", "ftp://ip.example/", "http://a b/", "http://u@h/", "http://h/ \r\nX: y"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(NetjailError):
        settings.checked(url, "", "", ())


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "netjail").mkdir()
    return tmp_path / "netjail" / "config.toml"


def test_without_a_file_nobody_is_asked(config: Path) -> None:
    assert not config.exists()
    assert settings.load() == settings.Settings()
    assert not any(settings.load().options().values())


def test_the_users_settings(config: Path) -> None:
    config.write_text(
        '[other]\nx = 1\n[check]\necho = "https://ip.example/"\naccept = ["socket-docker"]\n'
    )
    loaded = settings.load()
    assert loaded.echo == "https://ip.example/" and loaded.accept == ("socket-docker",)
    assert loaded.offline().echo == "" and loaded.offline().accept == ("socket-docker",)


@pytest.mark.parametrize(
    "text",
    [
        "[check",
        "check = 1",
        "[check]\necho = 1",
        '[check]\naccept = "x"',
        '[check]\naccept = ["no-such"]',
        '[check]\nech = "x"',
        '[check]\nresolver = "dns.example"',
        '[check]\necho_dns = "a b"',
    ],
)
def test_mistakes_in_the_settings_are_told(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(NetjailError) as refused:
        settings.load()
    assert refused.value.hint


OVERLAY = f"lowerdir={names.view_dir('vpn')}/etc:/etc"
MOUNTS = f"""\
22 1 0:20 / / rw,relatime master:1 - ext4 /dev/sda1 rw
40 22 0:50 / /etc ro,relatime - overlay overlay ro,{OVERLAY},uuid=off
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", ""),
        ("41 40 0:20 /x /etc/resolv.conf rw - ext4 /dev/sda1 rw\n", "/etc/resolv.conf"),
        ("41 22 0:20 /x /etc rw - ext4 /dev/sda1 rw\n", "does not see"),
        ("41 22 0:20 /x /etcetera rw - ext4 /dev/sda1 rw\n", ""),
    ],
)
def test_whether_a_program_sees_the_jails_files(more: str, said: str) -> None:
    told = files_differ(MOUNTS + more, "vpn")
    assert (said in told) if said else told == ""
    assert "does not see" in files_differ(MOUNTS + more, "other")


def test_the_table_of_codes_is_whole() -> None:
    for about in CODES.values():
        assert about.group in GROUPS and about.level in LEVELS
        assert about.why and about.todo and not about.why.endswith(".")
    assert set(probe.DOORS) <= set(CODES)


def test_the_document_is_up_to_date() -> None:
    text = DOC.read_text()
    assert reference.update(text) == text, (
        "run: python3 -m netjail.leaks.reference docs/leak-check.md"
    )


def test_the_probe_needs_nothing_but_the_standard_library() -> None:
    argv = outside.argv({})
    assert argv[1:3] == ["-I", "-S"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/", env={}, check=True)
    assert json.loads(done.stdout)["version"] == 1
