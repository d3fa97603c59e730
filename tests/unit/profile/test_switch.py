# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of switches, and where they are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import switch, switches
from netjail.profile.switch import Switch, dump, parse

TOP = "version = 1\n"


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(NetjailError) as caught:
        parse("lab", text)
    assert caught.value.code == "invalid-switch"
    assert caught.value.message.startswith("lab.toml has ")
    return caught.value.problems


def test_the_smallest_switch() -> None:
    found, warnings = parse("lab", TOP)
    assert found == Switch("lab")
    assert warnings == []
    assert (found.engine, found.host, found.isolated, found.vlan) == ("bridge", False, False, None)


def test_a_switch_with_everything() -> None:
    text = (
        'description = "d"\nengine = "openvswitch"\nhost = true\n'
        'host_address = ["10.20.0.1/24", "fd20::1/64"]\nisolated = true\nvlan = 10\nmtu = 1400\n'
        'uplink = "eth1"\ncut_off_host = true\n'
    )
    found, warnings = parse("lab", TOP + text)
    assert warnings == []
    assert [str(a) for a in found.host_addresses] == ["10.20.0.1/24", "fd20::1/64"]
    assert (found.uplink, found.cut_off_host, found.vlan) == ("eth1", True, 10)
    assert parse("lab", dump(found))[0] == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('engine = "ovs"', r'lab.toml:2: engine: "ovs".*allowed: "bridge" or "openvswitch"'),
        ('host_address = "10.20.0.1/24"', "needs host = true"),
        ('host = true\nhost_address = "10.20.0.1"', r'did you mean "10.20.0.1/24"'),
        ('host = true\nhost_address = ["10.20.0.1/24", "10.20.0.2/25"]', "overlaps"),
        ("vlan = 0", "too small"),
        ('uplink = "lo"', "loopback"),
        ('uplink = "nj-x"', "netjail's own"),
        ("cut_off_host = true", "about the uplink, and there is none"),
        ("isolatd = true", "did you mean isolated"),
        ("[uplink]\nkind = 'x'", "uplink"),
    ],
)
def test_one_problem(text: str, says: str) -> None:
    found = problems(TOP + text)
    assert len(found) == 1, found
    assert re.search(says, found[0]), found


def test_isolated_and_nobody_to_reach() -> None:
    assert "nobody on this switch reaches anybody" in parse("lab", TOP + "isolated = true")[1][0]


names_ = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,14}", fullmatch=True)


@given(
    st.builds(
        Switch,
        name=names_,
        engine=st.sampled_from(["bridge", "openvswitch"]),
        description=st.text("abc äö", max_size=20),
        host=st.booleans(),
        isolated=st.booleans(),
        vlan=st.none() | st.integers(1, 4094),
        mtu=st.none() | st.integers(576, 9000),
    )
)
def test_what_is_dumped_is_read_back(made: Switch) -> None:
    assert parse(made.name, dump(made))[0] == made


@given(st.text(max_size=60))
def test_any_text_is_a_switch_or_a_problem(text: str) -> None:
    try:
        parse("lab", text)
    except NetjailError as error:
        assert error.code == "invalid-switch"
        assert error.problems


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(names, "SWITCH_DIR", str(tmp_path / "switches"))
    yield tmp_path / "switches"


def test_kept_as_profiles_are(directory: Path) -> None:
    assert switches.names() == []
    assert switches.save("lab", TOP) == []
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert os.stat(directory / "lab.toml").st_mode & 0o777 == 0o600
    assert switches.names() == ["lab"]
    assert switches.load("lab") == Switch("lab")
    with pytest.raises(NetjailError, match="there is a switch lab already"):
        switches.save("lab", TOP)
    with pytest.raises(NetjailError, match="has a problem"):
        switches.save("lab", "version = 2", replace=True)
    assert switches.read_text("lab") == TOP
    switches.remove("lab")
    with pytest.raises(NetjailError) as caught:
        switches.load("lab")
    assert caught.value.code == "no-such-switch"
    assert "netjail switch list" in (caught.value.hint or "")


def test_what_others_could_change_is_not_read(directory: Path) -> None:
    switches.save("lab", TOP)
    os.chmod(directory / "lab.toml", 0o622)
    with pytest.raises(NetjailError, match="can be changed by others"):
        switches.load("lab")


def test_a_broken_file_says_how_to_mend_it(directory: Path) -> None:
    switches.save("lab", TOP)
    (directory / "lab.toml").write_text("version = 1\nnonsense = 1\n")
    with pytest.raises(NetjailError) as caught:
        switches.load("lab")
    assert "switch lab cannot be used" in caught.value.message
    assert caught.value.hint == "netjail switch edit lab"


def test_dhcp_is_read_or_said_to_be_missing() -> None:
    text = TOP + '[dhcp]\nrange = "10.20.0.100-10.20.0.199"\n'
    if "dhcp" in getattr(switch, "LATER", {}):
        assert "not yet" in problems(text)[0]
    else:
        assert parse("lab", text)[0].dhcp is not None
