# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail demo`: it passes, it is fast, and its proof is real: break something and it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
pytestmark = pytest.mark.usefixtures("stage_possible")


def demo(*words: str, **options) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "netjail", "demo", *words]
    return subprocess.run(argv, env=ENV, capture_output=True, text=True, timeout=60, **options)


def broken(tmp_path: Path, script: str, *words: str) -> dict[str, bool]:
    """The demo's claims with another program in netjail's place; claim to "holds"."""
    fake = tmp_path / "netjail"
    fake.write_text("#!/bin/sh\n" + textwrap.dedent(script))
    fake.chmod(0o755)
    code = (
        "import sys; from netjail.demo import demo; "
        "sys.exit(demo.main(sys.argv[2:], command=[sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(fake), "--json", *words],
        env={**ENV, "REAL": f"{sys.executable} -m netjail"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 1, done
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    return {claim["claim"]: claim["holds"] for claim in answer["result"]["claims"]}


def test_it_passes_and_reads_well() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    assert "\x1b" not in done.stdout
    assert "$ netjail import provider.conf --name demo" in done.stdout
    assert "without netjail" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 110


def test_json() -> None:
    done = demo("--json", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert (answer["netjail"], answer["verb"], answer["ok"]) == (1, "demo", True)
    claims = {claim["claim"]: claim for claim in answer["result"]["claims"]}
    assert {"address-ipv4", "resolver", "wire", "plain-text", "cut", "killed"} <= set(claims)
    assert claims["address-ipv4"]["without"] != claims["address-ipv4"]["with"]


@pytest.mark.slow
def test_a_netjail_that_confines_nothing(tmp_path: Path) -> None:
    """`run` runs the program as it is: the demo must see it in every way."""
    claims = broken(
        tmp_path,
        """
        [ "$1" = run ] || { mkdir -p /run/netns; exit 0; }
        while [ "$1" != -- ]; do shift; done
        shift
        exec "$@"
        """,
        "--quick",
    )
    for claim in ("address-ipv4", "resolver", "wire", "plain-text", "interfaces", "cut", "mended"):
        assert claims[claim] is False, claim
    assert claims["cut-host"] and claims["route-host"]


@pytest.mark.slow
def test_a_netjail_that_leaks_dns(tmp_path: Path) -> None:
    """In the jail, but with the host's /etc: the ISP is asked (and is not reached: or is it?)."""
    claims = broken(
        tmp_path,
        """
        [ "$1" = run ] || exec $REAL "$@"
        $REAL up demo >/dev/null
        while [ "$1" != -- ]; do shift; done
        shift
        rm -rf /etc/netns
        exec ip netns exec netjail-demo "$@"
        """,
        "--quick",
    )
    assert claims["resolver"] is False


@pytest.mark.slow
def test_a_netjail_with_a_second_way_out(tmp_path: Path) -> None:
    """A link to the host next to the tunnel: other interfaces, and a page when the line is cut."""
    claims = broken(
        tmp_path,
        """
        [ "$1" = run ] || exec $REAL "$@"
        $REAL up demo >/dev/null
        if ! ip link show leak >/dev/null 2>&1; then
            ip link add leak type veth peer name leak netns netjail-demo
            ip addr add 10.99.0.1/24 dev leak
            ip link set leak up
            ip netns exec netjail-demo sh -c 'ip addr add 10.99.0.2/24 dev leak
                ip link set leak up; ip route add 192.0.2.80/32 via 10.99.0.1'
            echo 1 >/proc/sys/net/ipv4/ip_forward
            nft add table ip leak
            nft 'add chain ip leak post { type nat hook postrouting priority 100; }'
            nft add rule ip leak post oifname wan0 masquerade
            nft add rule ip leak post oifname wan1 masquerade
        fi
        exec $REAL "$@"
        """,
        "--quick",
    )
    assert claims["interfaces"] is False
    assert claims["address-ipv4"] is False
    assert claims["wire"] is False
    assert claims["cut"] is False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted(number: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "netjail", "demo"], env=ENV, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            if line.startswith("2."):
                break
        child.send_signal(number)
        try:
            rest, _ = child.communicate(timeout=30)
        finally:
            child.kill()
        assert child.returncode == 128 + number
    if number == signal.SIGINT:
        assert "Stopped" in rest


def test_usage() -> None:
    done = demo("--nope")
    assert done.returncode == 2
    assert "--nope" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_programs_are_named(tmp_path: Path) -> None:
    code = (
        "import sys; from netjail.demo import demo, stage; "
        "stage.which = lambda name: None if name in ('wg', 'dnsmasq') else '/bin/' + name\n"
        "sys.exit(demo.main(['--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "missing-program"
    assert "wg and dnsmasq" in error["message"]
    assert "wireguard-tools dnsmasq-base" in error["hint"]
