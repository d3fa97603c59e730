# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail capture`: who may see a jail's packets, who writes them where, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import userbox
from userbox import ALICE, BOB, MALLORY, UserBox, eventually

pytestmark = [
    pytest.mark.skipif(userbox.missing() is not None, reason=str(userbox.missing())),
    pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump"),
]

HOME = "/run/home/alice"


@pytest.fixture(scope="module")
def box() -> Iterator[UserBox]:
    box = UserBox(profiles=("lab", "down"))
    box.start_helper()
    box.call("up", profile="lab")
    # something to see, until the host goes
    ping = ["ip", "netns", "exec", "netjail-lab", "ping", "-i", "0.1", "127.0.0.1"]
    traffic = subprocess.Popen(box.argv(ping), stdout=subprocess.DEVNULL)
    yield box
    traffic.kill()
    traffic.wait()
    log = box.log()
    box.close()
    assert "Traceback" not in log and "bug" not in log, log


def sniffers(box: UserBox) -> list[int]:
    """Processes of captures on this host."""
    here, found = box.path("/run").stat().st_dev, []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            if os.stat(f"/proc/{entry}/root/run").st_dev != here:
                continue
        except OSError:
            continue
        if b"tcpdump" in words[0] or any(word.endswith(b"sniffer.py") for word in words):
            found.append(int(entry))
    return found


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait(30)
    for pipe in (child.stdout, child.stderr):
        assert pipe is not None
        pipe.close()


def packets(text: str) -> list[str]:
    return [line for line in text.splitlines() if "ICMP echo" in line]


def test_packets_are_shown(box: UserBox) -> None:
    done = box.netjail("capture", "-c", "4", "-i", "lo", "lab", "--", "icmp", "and", "host", "::1")
    assert done.returncode == 2 and "filter" in done.stderr, done  # icmp is no IPv6
    done = box.netjail("capture", "-c", "4", "-i", "lo", "lab", "--", "icmp")
    assert done.returncode == 0 and len(packets(done.stdout)) == 4, done
    assert "4 packets captured" in done.stderr


def test_a_file_is_the_callers_own(box: UserBox) -> None:
    file = f"{HOME}/x.pcap"  # in a directory that only alice may enter
    done = box.netjail("capture", "--json", "-w", file, "-c", "3", "-i", "lo", "lab")
    assert done.returncode == 0, done
    result = json.loads(done.stdout)["result"]
    assert (result["captured"], result["interface"], result["file"]) == (3, "lo", file)
    status = box.path(file).stat()
    assert (status.st_uid, status.st_mode & 0o777) == (ALICE, 0o600)
    shown = subprocess.run(
        ["tcpdump", "-nr", "-"], stdin=box.path(file).open("rb"), capture_output=True, text=True
    )
    assert len(packets(shown.stdout)) == 3, shown


def test_root_opens_no_file_for_a_user(box: UserBox) -> None:
    done = box.netjail("capture", "-w", "/etc/shadow", "-c", "1", "-i", "lo", "lab")
    assert done.returncode == 1 and "cannot write /etc/shadow" in done.stderr, done
    assert "root" in box.path("/etc/shadow").read_text(encoding="utf-8")


def test_options_of_tcpdump_are_not_the_callers_to_give(box: UserBox) -> None:
    target = f"{HOME}/pwned"
    for words in (["-z", "id"], ["-w", target], [f"-w{target}"]):
        done = box.netjail("capture", "-c", "1", "-i", "lo", "lab", "--", *words)
        assert done.returncode != 0, done
        assert not box.path(target).exists()
    for name in ("-w/x", "a/b", "x" * 16, "lo\n"):
        done = box.netjail("capture", f"--interface={name}", "lab")
        assert done.returncode != 0 and "interface" in done.stderr, done


def test_ctrl_c_ends_it_with_its_counts(box: UserBox) -> None:
    child = box.popen("capture", "-i", "lo", "lab", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline()
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0 and re.search(r"\d packets? captured", err), (out, err)
    eventually(lambda: not sniffers(box), 30)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_goes_on_without_its_reader(box: UserBox, number: int) -> None:
    child = box.popen(
        "capture", "-w", "-", "lab", "--", "port", "9",  # of which there is none
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    eventually(lambda: len(sniffers(box)) >= 2, 30)
    os.kill(child.pid, number)
    if number == signal.SIGKILL:
        end(child)
    assert child.wait(30) in (0, -number)
    eventually(lambda: not sniffers(box), 30)


def test_tcpdump_is_nobody_with_one_capability(box: UserBox) -> None:
    child = box.popen(
        "capture", "-w", "-", "-i", "lo", "lab", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    os.read(child.stdout.fileno(), 24)
    for pid in sniffers(box):
        if b"sniffer.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            continue
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        status = dict(line.split(":\t", 1) for line in lines)
        assert "0" not in status["Uid"].split() and str(ALICE) not in status["Uid"].split()
        assert {status[f"Cap{each}"] for each in ("Prm", "Eff", "Bnd")} == {"0000000000002000"}
        assert status["NoNewPrivs"] == "1" and status["Groups"].strip() == ""
        net = os.stat(f"/proc/{pid}/ns/net").st_ino
        assert net == box.path("/run/netns/netjail-lab").stat().st_ino
        break
    else:
        pytest.fail("there is no tcpdump")
    end(child)


def test_who_may_not_gets_nothing(box: UserBox) -> None:
    done = box.netjail("capture", "-c", "1", "-i", "lo", "lab", uid=MALLORY)
    assert done.returncode == 1 and "org.netjail.capture" in done.stderr, done
    assert done.stdout == ""


def test_one_user_has_so_many(box: UserBox) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    words = ("capture", "-w", "-", "lab", "--", "port", "9")
    children = [box.popen(*words, **pipes) for _ in range(8)]
    for child in children:
        assert child.stdout is not None
        os.read(child.stdout.fileno(), 1)
    done = box.netjail("capture", "-c", "1", "-i", "lo", "lab")
    assert done.returncode == 1 and "8 captures" in done.stderr, done
    assert box.netjail("capture", "-c1", "-i", "lo", "lab", uid=BOB).returncode == 0
    for child in children:
        end(child)
    eventually(lambda: not sniffers(box), 30)


def test_what_cannot_be_captured_is_said(box: UserBox) -> None:
    for words, said in (
        (["down"], "profile down is not up"),
        (["nobody"], "nobody"),
        (["-i", "wg7", "lab"], "no interface wg7"),
        (["-i", "lo", "lab", "--", "no", "such", "filter"], "does not take the filter"),
        (["--json", "lab"], "must go to a file"),
        (["-w", "/run/nowhere/x", "lab"], "cannot write /run/nowhere/x"),
    ):
        done = box.netjail("capture", *words)
        assert done.returncode in (1, 2) and said in done.stdout + done.stderr, done
