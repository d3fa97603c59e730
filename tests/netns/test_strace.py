# SPDX-License-Identifier: GPL-3.0-or-later
"""A launch by an ordinary user as strace(1) sees it: what root does, and that root ends by exec."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import userbox
from userbox import ALICE, READERS, UserBox, eventually

pytestmark = [
    pytest.mark.skipif(userbox.missing() is not None, reason=str(userbox.missing())),
    pytest.mark.skipif(
        subprocess.run(["sh", "-c", "command -v strace"], capture_output=True).returncode != 0,
        reason="strace is not installed",
    ),
]

PROGRAM = "/usr/bin/printenv"
OPENING = r"= (\d+)(?:<.*>)?$"


@pytest.fixture(scope="module")
def box() -> Iterator[UserBox]:
    box = UserBox(profiles=("lab",))
    box.start_helper()
    box.call("up", profile="lab")
    box.netjail("run", "lab", "true")
    yield box
    box.close()


@pytest.fixture(scope="module")
def calls(box: UserBox, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The system calls of the process that became the user's program, up to its exec and from
    there on, without pids."""
    file = tmp_path_factory.mktemp("strace") / "out"
    words = ["strace", "-f", "-v", "-s", "100000", "-o", str(file), "-p", str(box.spawner())]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracing:
        assert tracing.stderr is not None
        said = tracing.stderr.readline()
        if "attached" not in said:
            tracing.kill()
            pytest.skip(f"strace cannot trace here: {said.strip()}")
        done = box.netjail("run", "lab", PROGRAM)
        assert done.returncode == 0, done.stderr
        eventually(lambda: "exited with 0" in file.read_text())
        tracing.terminate()
    lines = [line.split(maxsplit=1) for line in file.read_text().splitlines()]
    (pid,) = {pid for pid, call in lines if call.startswith(f'execve("{PROGRAM}"')}
    return whole([call for each, call in lines if each == pid])


def whole(lines: list[str]) -> list[str]:
    """Calls that others interrupted put together again, results without their column."""
    calls: list[str] = []
    for line in lines:
        if match := re.match(r"<\.\.\. \w+ resumed>(.*)", line):
            calls[-1] = calls[-1].removesuffix("<unfinished ...>").rstrip() + match[1]
        else:
            calls.append(line)
    return [re.sub(r"\) +=", ") =", call) for call in calls]


def before(calls: list[str]) -> list[str]:
    return calls[: executed(calls)]


def executed(calls: list[str]) -> int:
    (at,) = [number for number, call in enumerate(calls) if call.startswith("execve(")]
    return at


def where(calls: list[str], start: str) -> int:
    found = [number for number, call in enumerate(calls) if call.startswith(start)]
    assert found, start
    return found[-1]


def test_root_is_given_up_for_good_before_the_program(calls: list[str]) -> None:
    group = user = ALICE
    done = before(calls)
    groups = where(done, "setgroups(")
    assert re.match(rf"setgroups\(\d, \[(?:{group}|{READERS}|, )+\]\) = 0", done[groups]), done
    gid = where(done, f"setresgid({group}, {group}, {group}) = 0")
    uid = where(done, f"setresuid({user}, {user}, {user}) = 0")
    caps = where(done, "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0, per")
    assert groups < gid < uid < caps
    for again in done[caps:]:
        assert not re.match(r"(setns|unshare|mount|move_mount|open_tree|capset)\(.* = 0", again[1:])


def test_the_environment_is_the_users_alone(box: UserBox, calls: list[str]) -> None:
    line = calls[executed(calls)]
    assert line.endswith(" = 0")
    env = re.findall(r'"((?:[^"\\]|\\.)*)"', line[line.index("], [") :])
    assert sorted(env) == sorted(f"{name}={value}" for name, value in box.env().items())


def test_no_descriptor_outlives_the_exec_but_the_users_three(calls: list[str]) -> None:
    """What the child opened or was sent says that it goes at exec, or is closed, or is 0, 1, 2."""
    opened: dict[int, str] = {}
    for call in before(calls):
        if match := re.match(r"close\((\d+)\)", call):
            opened.pop(int(match[1]), None)
        elif match := re.match(r"close_range\((\d+), (\d+), 0\)", call):
            low, high = int(match[1]), int(match[2])
            opened = {fd: how for fd, how in opened.items() if not low <= fd <= high}
        elif match := re.match(r"dup2\(\d+, (\d+)\)", call):
            opened[int(match[1])] = call
        elif re.match(r"(openat|socket|dup|open_tree|pidfd_open|memfd_create|epoll_create)", call):
            if (match := re.search(OPENING, call)) and "CLOEXEC" not in call:
                opened[int(match[1])] = call
        elif call.startswith("recvmsg(") and "SCM_RIGHTS" in call:
            assert "MSG_CMSG_CLOEXEC" in call, call
    assert set(opened) <= {0, 1, 2}, opened


def test_nothing_is_opened_by_a_name_that_the_user_gave_while_it_is_root(calls: list[str]) -> None:
    """Root's own paths only: the user's directory is entered by its descriptor, their program and
    its interpreter are opened by the kernel, after root is gone."""
    done = before(calls)
    caps = where(done, "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0, per")
    ours = ("/proc/self/", "/run/netjail/", "/run/netns/netjail-lab", "/dev/null", "/sys/fs/cgroup")
    for call in done[:caps]:
        if match := re.match(r'(?:openat|open|chdir|execve)\((?:AT_FDCWD, )?"([^"]*)"', call):
            path = match[1]
            assert path.startswith(ours) or "/run/pkg/netjail/" in path or "python3" in path, call
