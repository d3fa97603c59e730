# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client has before it is known whether it may: a child that gets ready, and begins nothing.

The gate of these tests takes its time, as a person does who looks for a password.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import userbox
from test_spawner import RAW
from userbox import ALICE, BOB, PYTHON, UserBox, eventually

pytestmark = pytest.mark.skipif(userbox.missing() is not None, reason=str(userbox.missing()))

TELLTALE = "/run/home/alice/never"

EARLY = """
s = connect()
params = {"profile": "lab", "argv": ["touch", "/run/home/alice/never"],
          "env": ["PATH=/usr/bin:/bin"], "early": True}
s.sendall(json.dumps({"v": 1, "id": 1, "method": "launch", "params": params}).encode() + b"\\n")
said, fds = line(s)
assert said == {"id": 1, "early": True} and len(fds) == 3, (said, fds)
directory = os.open("/", os.O_PATH)
def packet(c):
    c.settimeout(20)
    try: return c.recv(1000).decode()
    except ConnectionResetError: return c.recv(1000).decode()  # told once; then what was said
"""


@pytest.fixture(scope="module")
def box() -> Iterator[UserBox]:
    """ALICE may, BOB may not; either hears so after two seconds."""
    box = UserBox(profiles=("lab",))
    box.start_helper(uids=[ALICE], thinks=2)
    box.call("up", profile="lab")
    box.path("/run/home/alice").chmod(0o777)
    for uid in (ALICE, BOB):  # the helper has to look once who they are
        box.netjail("run", "lab", "true", uid=uid)
    yield box
    log = box.log()
    box.close()
    assert "Traceback" not in log and "bug" not in log, log


def raw(box: UserBox, code: str, uid: int) -> Any:
    argv = box.as_user([PYTHON, "-c", RAW + EARLY + code], uid)
    done = subprocess.run(argv, env=box.env(uid), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def nothing_began(box: UserBox) -> None:
    spawner = box.spawner()
    eventually(lambda: not Path(f"/proc/{spawner}/task/{spawner}/children").read_text(), 20)
    assert not box.path(TELLTALE).exists()


def test_who_may_not_gets_no_program(box: UserBox) -> None:
    code = """
c = send(fds[2], [directory, 0, 1, 2], b"FE"); c.send(b"R")
answer, more = line(s)
print(json.dumps([answer["error"]["code"], len(more)]))
"""
    assert raw(box, code, BOB) == ["not-authorised", 0]
    nothing_began(box)


@pytest.mark.parametrize("word", ["G", "O", "R", "C1", "S9", "FEG"])
def test_nobody_but_the_helper_says_that_it_may_begin(box: UserBox, word: str) -> None:
    code = f"""
c = send(fds[2], [directory, 0, 1, 2], b"FE")
for _ in range(5): c.send({word.encode()!r})
time.sleep(1)
began = os.path.exists("/run/home/alice/never")
answer, more = line(s)
print(json.dumps([began, answer["error"]["code"]]))
"""
    assert raw(box, code, BOB) == [False, "not-authorised"]
    nothing_began(box)


def test_descriptors_of_the_child_give_no_hold_of_it(box: UserBox) -> None:
    """It is root's until the very end: no signal, no look at what it has."""
    code = """
import signal, ctypes
denied = []
pid = int([l for l in open(f"/proc/self/fdinfo/{fds[0]}") if l.startswith("Pid:")][0].split()[1])
def attempt(what):
    try: what()
    except OSError as error: denied.append(error.errno)
    else: denied.append(0)
attempt(lambda: signal.pidfd_send_signal(fds[0], signal.SIGKILL))
attempt(lambda: os.kill(pid, signal.SIGTERM))
attempt(lambda: os.listdir(f"/proc/{pid}/fd"))
attempt(lambda: open(f"/proc/{pid}/environ").read())
libc = ctypes.CDLL(None, use_errno=True)
denied.append(0 if libc.syscall(438, fds[0], 0, 0) >= 0 else ctypes.get_errno())
print(json.dumps(denied))
"""
    found = raw(box, code, BOB)
    assert len(found) == 5 and 0 not in found
    nothing_began(box)


def test_a_child_that_hangs_in_a_strangers_directory_is_ended(box: UserBox) -> None:
    """Stopped, as by a file system that does not answer, it cannot end by itself."""
    code = """
pid = int([l for l in open(f"/proc/self/fdinfo/{fds[0]}") if l.startswith("Pid:")][0].split()[1])
print(pid, flush=True)
sys.stdin.readline()
"""
    argv = box.as_user([PYTHON, "-c", RAW + EARLY + code], BOB)
    with subprocess.Popen(
        argv, env=box.env(BOB), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asking:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        asking.communicate("\n")
    eventually(lambda: not Path(f"/proc/{pid}").exists(), 20)
    nothing_began(box)


def test_it_keeps_nobody_from_taking_the_jail_down(box: UserBox) -> None:
    """And is not let into the one that comes up in its place, whose files are others."""
    code = """
c = send(fds[2], [directory, 0, 1, 2], b"FE"); c.send(b"R")
print("sent", flush=True)
answer, more = line(s)
print(json.dumps([answer["result"]["state"], packet(c), len(more)]))
"""
    root = """
import sys; sys.path.insert(0, "/run/pkg")
from netjail import client
c = client.connect(start=False)
print("ready", flush=True); sys.stdin.readline()
print(c.call("down", {"profiles": ["lab"]})["results"][0]["errors"])
c.call("up", {"profile": "lab", "wait": 0})
"""
    box.stop_helper()
    box.start_helper(uids=[ALICE], thinks=0.24)
    for _ in range(2):
        box.netjail("run", "lab", "true")
    pipes: dict[str, Any] = {"text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    argv = box.as_user([PYTHON, "-c", RAW + EARLY + code], ALICE)
    for _ in range(5):  # until somebody is quicker than the gate
        with subprocess.Popen(box.argv([PYTHON, "-c", root]), **pipes) as downer:
            assert downer.stdout is not None
            assert downer.stdout.readline() == "ready\n"
            with subprocess.Popen(argv, env=box.env(), **pipes) as asking:
                assert asking.stdout is not None
                assert asking.stdout.readline() == "sent\n"
                errors, _ = downer.communicate("\n", timeout=30)
                assert errors == "[]\n"
                out, _ = asking.communicate(timeout=30)
        state, said, again = json.loads(out)
        assert state == "up"
        if not again and said:
            break
        # the gate was quicker, and let in who may; or so slow that another child was made
        spawner = box.spawner()
        children = Path(f"/proc/{spawner}/task/{spawner}/children")
        eventually(lambda: not children.read_text(), 20)  # noqa: B023
        box.path(TELLTALE).unlink(missing_ok=True)
    else:
        pytest.skip("this machine is too slow for that to be met")
    assert said.startswith("E125\0not-up")
    nothing_began(box)


def test_a_client_that_has_gone_gets_no_program(box: UserBox) -> None:
    code = """
c = send(fds[2], [directory, 0, 1, 2], b"FE")
print("null", flush=True); os._exit(0)
"""
    raw(box, code, ALICE)
    time.sleep(2.5)
    nothing_began(box)


def test_a_profile_of_others_is_not_told_of(box: UserBox) -> None:
    """Descriptors come early only to those whom the profile's own `users` name."""
    text = 'version = 1\nusers = ["alice"]\n[uplink]\nkind = "none"\n'
    box.call("profile.add", name="hers", text=text, replace=False)
    box.call("up", profile="hers")
    code = """
s = connect()
s.sendall(json.dumps({"v": 1, "id": 1, "method": "launch", "params":
    {"profile": "hers", "argv": ["true"], "env": [], "early": True}}).encode() + b"\\n")
answer, more = line(s)
print(json.dumps([list(answer), len(more)]))
"""
    assert raw(box, code, BOB) == [["id", "error"], 0]


def test_all_the_same_it_runs_for_those_who_may(box: UserBox) -> None:
    done = box.netjail("run", "lab", "sh", "-c", "id -u; exit 7")
    assert (done.returncode, done.stdout) == (7, f"{ALICE}\n"), done


SOON = r"""
s = connect()
directory = os.open("/", os.O_PATH)
s.sendall(b'{"v":1,"soon":"launch","profile":"lab"}\n')
def told():
    print("told", flush=True); sys.stdin.readline()
def exits():
    answer, fds = launch(s, ["sh", "-c", "exit 7"])
    send(fds[2], [directory, 0, 1, 2])
    print(os.read(fds[1], 64).decode())
"""


def children(box: UserBox) -> list[str]:
    spawner = box.spawner()  # 0: there is none yet
    return Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split() if spawner else []


def soon(box: UserBox, uid: int, code: str) -> subprocess.Popen[str]:
    """A client that has said what it is about to want, and waits for a line."""
    argv = box.as_user([PYTHON, "-c", RAW + SOON + code], uid)
    pipes: dict[str, Any] = {"text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    client = subprocess.Popen(argv, env=box.env(uid), **pipes)
    assert client.stdout is not None
    assert client.stdout.readline() == "told\n"
    return client


@pytest.fixture
def quick(box: UserBox) -> Iterator[UserBox]:
    """With a gate that needs no time to think."""
    box.stop_helper()
    box.start_helper(uids=[ALICE])
    box.netjail("run", "lab", "true")
    yield box
    box.stop_helper()
    box.start_helper(uids=[ALICE], thinks=2)
    box.netjail("run", "lab", "true")  # what stands is adopted then


def test_a_process_made_ahead_of_the_request_becomes_the_program(quick: UserBox) -> None:
    code = """
told()
answer, fds = launch(s, ["true"])
send(fds[2], [directory, 0, 1, 2])
print(answer["result"]["pid"], os.read(fds[1], 64).decode())
"""
    for _ in range(20):  # a helper that was held up makes another one
        with soon(quick, ALICE, code) as client:
            eventually(lambda: len(children(quick)) == 1, 20)
            (made,) = children(quick)
            started, _ = client.communicate("\n", timeout=30)
        nothing_began(quick)
        if started == f"{made} 0\n":
            return
    pytest.fail("another process became the program each time")


def test_one_made_ahead_that_has_ended_is_replaced(box: UserBox) -> None:
    with soon(box, ALICE, "told(); exits()") as client:
        eventually(lambda: len(children(box)) == 1, 20)
        os.kill(int(children(box)[0]), signal.SIGKILL)
        eventually(lambda: not children(box), 20)
        out, _ = client.communicate("\n", timeout=30)
    assert out == f"{7 << 8}\n"


@pytest.mark.parametrize("uid", [ALICE, BOB])
def test_a_process_made_ahead_ends_with_its_client(box: UserBox, uid: int) -> None:
    with soon(box, uid, "told()") as client:
        eventually(lambda: len(children(box)) == 1, 20)
        client.communicate("\n", timeout=30)
    nothing_began(box)


def test_however_often_it_is_said_one_process_is_made_ahead(box: UserBox) -> None:
    again = 's.sendall(b\'{"v":1,"soon":"launch","profile":"lab"}\\n\' * 50)\n'
    hello = 's.sendall(b\'{"v":1,"id":1,"method":"hello"}\\n\'); line(s)\n'
    # lines are taken in turn: when it is answered, those before it have been read
    with soon(box, BOB, again + hello + "told()") as client:
        eventually(lambda: children(box) != [], 20)
        time.sleep(0.3)
        assert len(children(box)) == 1
        client.communicate("\n", timeout=30)
    nothing_began(box)
