# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail setup` at the system's own places, in a mount namespace where these are empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SCRIPT = r"""
set -eu
mount --make-rprivate /
for place in /usr/local /usr/share/polkit-1 /etc/dbus-1 /run; do
    mkdir -p "$place"
    mount -t tmpfs -o mode=755 none "$place"
done
mkdir -p /usr/local/share /usr/local/bin /usr/share/polkit-1/actions /etc/dbus-1/system.d
mkdir -p /opt
mount -t tmpfs -o mode=755 none /opt
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a mount namespace")


def run(script: str) -> subprocess.CompletedProcess[str]:
    """A shell script in such a namespace, with $NETJAIL being the copy of ours in /opt."""
    copy = (
        'mkdir /opt/netjail; cp -rL "$REPO/netjail" /opt/netjail/; '
        'export NETJAIL="$PYTHON -I -c \'import sys; sys.path.insert(0, \\"/opt/netjail\\"); '
        "from netjail.main import main; sys.exit(main())'\"\n"
        'netjail() { eval "$NETJAIL" \'"$@"\'; }\n'
    )
    python = str(Path(sysconfig.get_path("stdlib")).parents[1] / "bin" / "python3")
    if not os.access(python, os.X_OK):
        python = sys.executable
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", SCRIPT + copy + script],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "REPO": str(REPO), "PYTHON": python},
    )


def good(script: str) -> list[str]:
    done = run(script)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


FIND = "find /usr/local /usr/share/polkit-1 /etc/dbus-1 -mindepth 1 | sort"


def test_print_install_again_remove() -> None:
    lines = good(
        f"""
        {FIND} >/opt/before
        netjail --json setup --print
        {FIND} | cmp - /opt/before
        netjail --json setup
        netjail --json setup
        netjail --json setup --remove --print
        netjail --json setup --remove
        {FIND} | diff /opt/before -
        netjail setup --remove
        """
    )
    results = [json.loads(line)["result"] for line in lines[:5]]
    printed, first, again, would, removed = ([f["change"] for f in r["files"]] for r in results)
    assert set(printed) == {"write"}
    assert set(first) == {"written"}
    assert set(again) == {"unchanged"}
    assert set(would) == {"remove"}
    assert set(removed) == {"removed"}
    assert len({len(printed), len(first), len(again), len(removed)}) == 1
    assert all(result["warnings"] == [] for result in results)
    assert lines[5] == "There is nothing that setup has written."


def test_what_was_installed_works() -> None:
    lines = good(
        """
        netjail setup >/dev/null
        rm -rf /opt/data
        /usr/local/bin/netjail --version
        /usr/local/sbin/netjaild --version
        grep ^Exec /usr/local/lib/systemd/system/netjaild.service
        stat -c '%a %U' /usr/share/polkit-1/actions/org.netjail.policy /usr/local/bin/netjail
        """
    )
    assert lines[0].startswith("netjail ")
    assert lines[1].startswith("netjaild ")
    assert lines[2] == "ExecStart=/usr/local/sbin/netjaild"
    assert lines[3] == "ExecStopPost=-/usr/local/sbin/netjaild --cleanup"
    assert lines[4:] == ["644 root", "755 root"]


def test_umask_of_the_caller_does_not_matter() -> None:
    lines = good(
        """
        umask 077
        netjail setup >/dev/null
        find /usr/local /usr/share/polkit-1 ! -perm -444
        find /usr/local -type d ! -perm -555
        """
    )
    assert lines == []


def test_pips_own_command_is_kept() -> None:
    lines = good(
        """
        echo '#!/bin/sh' >/usr/local/bin/netjail
        netjail setup
        cat /usr/local/bin/netjail
        netjail setup --remove >/dev/null
        cat /usr/local/bin/netjail
        """
    )
    assert lines[0] == "Kept: /usr/local/bin/netjail (not written by setup)"
    assert lines.count("#!/bin/sh") == 2


def test_a_packages_files_are_not_replaced() -> None:
    done = run(
        f"""
        echo theirs >/usr/share/polkit-1/actions/org.netjail.policy
        {FIND} >/opt/before
        netjail setup && exit 9
        {FIND} | diff /opt/before -
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/usr/share/polkit-1/actions/org.netjail.policy" in done.stderr
    assert "nothing was changed" in done.stderr


@pytest.mark.parametrize(
    ("make", "says"),
    [
        ("chown 54321 /opt/netjail/netjail/names.py", "netjail/names.py belongs to uid 54321"),
        ("chgrp 54321 /opt/netjail; chmod 775 /opt/netjail", "can be written by its group"),
        ("chown 54321 /usr/local/share", "/usr/local/share belongs to uid 54321"),
        ("chmod 1777 /usr/local/bin", "/usr/local/bin can be written by everybody"),
    ],
)
def test_nothing_from_or_to_where_others_may_write(make: str, says: str) -> None:
    done = run(
        f"""
        {FIND} >/opt/before
        {make}
        netjail setup && exit 9
        {FIND} | diff /opt/before -
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stderr


def test_profiles_that_are_up_keep_it_installed() -> None:
    done = run(
        """
        netjail setup >/dev/null
        mkdir -p /run/netjail/jails/vpn
        netjail setup --remove && exit 9
        test -e /usr/local/bin/netjail
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "netjail down --all" in done.stderr


def test_helper_on_the_bus_refuses_code_of_others() -> None:
    done = run(
        """
        chown 54321 /opt/netjail/netjail/names.py
        "$PYTHON" -I /opt/netjail/netjail/daemon/__main__.py && exit 9
        true
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/opt/netjail/netjail/names.py belongs to uid 54321" in done.stderr


def test_cleanup_in_an_empty_house() -> None:
    lines = good(
        """
        "$PYTHON" -I /opt/netjail/netjail/daemon/__main__.py --cleanup
        test ! -e /run/netjail
        mkdir -p -m 755 /run/netjail/jails /run/netjail/view
        "$PYTHON" -I /opt/netjail/netjail/daemon/__main__.py --cleanup
        ls /run/netjail
        """
    )
    assert lines == ["helper.lock"]
