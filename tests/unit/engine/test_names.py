# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that stand for profiles: nobody can aim at another's, and what stands keeps its own."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from netjail.engine import namekey
from netjail.engine.record import Record, Records
from netjail.uplinks import naming

VICTIM = "office-network-east"


@pytest.fixture(autouse=True)
def no_key() -> Iterator[None]:
    naming.use_key(b"")
    yield
    naming.use_key(b"")


def same_sum(profile: str, bits: int) -> str:
    """Another name with the same check sum, as anybody can find one."""
    mask = (1 << bits) - 1
    wanted = zlib.crc32(profile.encode()) & mask
    start = zlib.crc32(profile[:6].encode())
    for number in range(1 << (bits + 4)):
        text = f"{number:07x}"
        if zlib.crc32(text.encode(), start) & mask == wanted:
            return profile[:6] + text
    raise AssertionError("none found")


def test_a_name_made_to_collide_does_not_with_a_key() -> None:
    other = same_sum(VICTIM, 16)
    low = [zlib.crc32(name.encode()) & 0xFFFF for name in (VICTIM, other)]
    assert low[0] == low[1] and other != VICTIM
    ends = [naming.host_interface(name)[-4:] for name in (VICTIM, other)]
    assert ends[0] == ends[1], "without a key it does"
    different = 0
    for seed in range(8):
        naming.use_key(bytes([seed]) * 32)
        different += naming.host_interface(VICTIM)[-4:] != naming.host_interface(other)[-4:]
        assert naming.host_interface(VICTIM).startswith("nj-office")
        assert len(naming.host_interface(VICTIM)) <= 15
    assert different >= 7


def test_users_depend_on_the_key_and_stay_in_their_ranges() -> None:
    numbers = set()
    for seed in range(8):
        naming.use_key(bytes([seed]) * 32)
        numbers |= {naming.client_user("vpn"), naming.own_user("vpn", 0x70400000)}
        assert 0x70000000 <= naming.client_user("vpn") < 0x70400000
        assert 0x70400000 <= naming.own_user("vpn", 0x70400000) < 0x70800000
        assert naming.client_user("vpn") == naming.client_user("vpn")
    assert len(numbers) == 16


def record(profile: str) -> Record:
    return Record(profile, "up", "keep", "none", None, ())


def test_a_jail_that_stands_keeps_its_names_until_it_goes(tmp_path: Path) -> None:
    """As after an upgrade from a netjail that had no key."""
    before = naming.host_interface(VICTIM), naming.client_user(VICTIM)
    Records(str(tmp_path)).save(record(VICTIM))

    naming.use_key(b"k" * 32)
    records = Records(str(tmp_path))
    assert records.read() == []
    assert (naming.host_interface(VICTIM), naming.client_user(VICTIM)) == before
    records.save(record(VICTIM))  # whatever is written of it later
    records = Records(str(tmp_path))
    records.read()
    assert naming.client_user(VICTIM) == before[1]
    records.forget(VICTIM)
    assert naming.host_interface(VICTIM) != before[0] and naming.client_user(VICTIM) != before[1]

    after = naming.client_user(VICTIM)
    records.save(record(VICTIM))
    naming.use_key(b"k" * 32)
    Records(str(tmp_path)).read()
    assert naming.client_user(VICTIM) == after


def test_a_switch_of_the_same_name_changes_nothing(tmp_path: Path) -> None:
    before = naming.client_user(VICTIM)
    Records(str(tmp_path / "jails")).save(record(VICTIM))
    switches = Records(str(tmp_path / "switches"), jails=False)
    switches.save(record(VICTIM))
    naming.use_key(b"k" * 32)
    after = naming.client_user(VICTIM)
    Records(str(tmp_path / "switches"), jails=False).read()
    assert naming.client_user(VICTIM) == after
    Records(str(tmp_path / "jails")).read()
    switches.forget(VICTIM)
    assert naming.client_user(VICTIM) == before, "the jail stands"


def test_the_key_is_made_once_and_is_roots_alone(tmp_path: Path) -> None:
    place = tmp_path / "state"
    key = namekey.load(str(place))
    assert len(key) == 32 and namekey.load(str(place)) == key
    (file,) = place.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    os.chmod(file, 0o644)  # others may have read it: a new one
    assert namekey.load(str(place)) != key
    file.write_text("no key\n")
    assert len(namekey.load(str(place))) == 32
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    namekey.load(str(place))
    assert not (tmp_path / "elsewhere").exists()


def test_where_no_key_can_be_kept_names_are_plain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert namekey.load(str(tmp_path / "file" / "state")) == b""
    assert "no key" in capsys.readouterr().err
