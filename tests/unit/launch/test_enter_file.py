# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the `enter` file, and small pure parts of entering."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netjail import names
from netjail.errors import NetjailError
from netjail.launch import enter, rare

GOOD = """netjail-enter\t1
profile\tvpn
stop\tnever
net\t/run/netns/netjail-vpn\t4\t4026532300
etc\t/run/netjail/view/vpn/etc
hide\t/run/nscd\t/run/netjail/view/vpn/empty
hide\t/run/systemd/resolve\t/run/netjail/view/vpn/resolve
keep\t/sys/fs/cgroup
keep\t/etc/with space
"""


def test_a_good_one() -> None:
    plan = enter.parse_enter("vpn", GOOD, -1)
    assert (plan.name, plan.stop, plan.net) == ("vpn", "never", "/run/netns/netjail-vpn")
    assert (plan.dev, plan.ino) == (4, 4026532300)
    assert plan.etc == "/run/netjail/view/vpn/etc"
    assert plan.hides[0] == ("/run/nscd", "/run/netjail/view/vpn/empty")
    assert plan.keeps == ["/sys/fs/cgroup", "/etc/with space"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "netjail-enter\t2\n",
        GOOD.replace("netjail-enter\t1", "netjail-enter\t1\t2"),
        GOOD.replace("profile\tvpn", "profile\tother"),
        GOOD.replace("profile\tvpn\n", ""),
        GOOD.replace("stop\tnever\n", ""),
        GOOD.replace("4026532300", "x"),
        GOOD.replace("\t4\t", "\t"),
        GOOD.replace("etc\t/", "etc\t"[:3] + "/"),
        GOOD + "else\tx\n",
        GOOD + "hide\t/a\n",
        GOOD + "keep\t/a\t/b\n",
    ],
)
def test_whatever_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(NetjailError) as caught:
        enter.parse_enter("vpn", text, -1)
    assert caught.value.code == "system"
    assert caught.value.hint is not None
    assert "netjail down vpn" in caught.value.hint


@pytest.fixture
def jails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(names, "JAILS_DIR", str(tmp_path))
    (tmp_path / "vpn").mkdir()
    return tmp_path


def test_not_up(jails: Path) -> None:
    with pytest.raises(NetjailError) as caught:
        enter.read_enter("vpn")
    assert caught.value.code == "not-up"


def test_read_and_released(jails: Path) -> None:
    (jails / "vpn/enter").write_text(GOOD)
    plan = enter.read_enter("vpn")
    assert plan.keeps == ["/sys/fs/cgroup", "/etc/with space"]
    assert not os.get_inheritable(plan.lock)
    plan.release()


def test_a_link_is_not_followed(jails: Path) -> None:
    (jails / "real").write_text(GOOD)
    (jails / "vpn/enter").symlink_to(jails / "real")
    with pytest.raises(NetjailError) as caught:
        enter.read_enter("vpn")
    assert caught.value.code == "system"


def test_no_descriptor_is_left_behind(jails: Path) -> None:
    (jails / "vpn/enter").write_text("rubbish")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(NetjailError):
        enter.read_enter("vpn")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("path", "escaped"),
    [
        ("/run/netjail/view/a-b_c/etc", "/run/netjail/view/a-b_c/etc"),
        ("/a,b:c\\d", "/a\\,b\\:c\\\\d"),
    ],
)
def test_overlay_paths(path: str, escaped: str) -> None:
    assert enter.overlay_escape(path) == escaped


def test_the_providers_port_is_read_from_its_file_at_each_start(tmp_path: Path) -> None:
    file = tmp_path / "port"
    plan = enter.parse_enter("vpn", GOOD + f"port\t{file}\n", -1)
    assert plan.port == str(file)
    assert enter.parse_enter("vpn", GOOD, -1).port == ""
    for text, told in ((None, None), ("40001\n", b"40001"), ("x", None), ("", None)):
        if text is not None:
            file.write_text(text)
        env = {b"NETJAIL_PORT": b"another jail's", b"HOME": b"/"}
        rare.tell_port(plan.port, env)
        assert env.get(b"NETJAIL_PORT") == told
        assert env[b"NETJAIL_PORT_FILE"] == bytes(file)
