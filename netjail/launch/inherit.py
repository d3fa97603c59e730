# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking on what a program would have inherited from whoever asked for it (see `caller`).

Runs in the spawner's child, as root, before root is given up. What cannot be taken on although it
holds the program back (limits, cgroups) is an error; what would only have favoured it is left out.
"""

import posix
import resource

from netjail.launch import processes, rare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netjail.launch.caller import Inherited

_NO_LOGIN = 2**32 - 1

_APPARMOR = "/proc/self/attr/apparmor/current"
_LIMITS = 16
"""RLIM_NLIMITS of every kernel that runs this."""
_IO_CLASSES_OF_ROOT = (1,)
"""Real time, which takes CAP_SYS_NICE or CAP_SYS_ADMIN to set."""


def take_on(given: "Inherited", own_bounding: int) -> None:
    """All but the cgroups and the limits, which may hinder what is still to be done.

    `own_bounding`: the capabilities that we could lose, as bits.
    """
    if set(given["affinity"]) != posix.sched_getaffinity(0):
        _try("the processors it may use", posix.sched_setaffinity, 0, given["affinity"])
    _schedule(given)
    _oom(given["oom"])
    if given["login"] != _NO_LOGIN:
        _write_quietly("/proc/self/loginuid", given["login"])
    if own_bounding & ~given["bounding"]:
        processes.limit_capabilities(given["bounding"])
    if given["no_new_privileges"]:
        processes.set_no_new_privileges()


def _schedule(given: "Inherited") -> None:
    policy, priority = given["policy"], given["priority"]
    if policy != posix.sched_getscheduler(0):
        param = posix.sched_param(priority)
        try:
            posix.sched_setscheduler(0, policy, param)
        except OSError:
            pass  # deadline, or real time without the right to it: then an ordinary process
    if given["nice"] != posix.getpriority(posix.PRIO_PROCESS, 0):
        _favour(given["nice"] < 0, posix.setpriority, posix.PRIO_PROCESS, 0, given["nice"])
    wanted = given["io_priority"]
    if wanted != processes.get_io_priority(0):
        _favour(wanted >> 13 in _IO_CLASSES_OF_ROOT, processes.set_io_priority, wanted)


def _oom(score: int) -> None:
    own = int(_read("/proc/self/oom_score_adj"))
    if score == own:
        return
    try:
        _write("/proc/self/oom_score_adj", score)
    except OSError as error:
        if score > own:  # to be killed earlier takes no right
            raise _error("its oom score", error) from None


def limits(wanted: "list[tuple[int, int]]") -> None:
    """The resource limits."""
    for number, pair in enumerate(wanted[:_LIMITS]):
        _limit(number, pair)


def _limit(number: int, pair: tuple[int, int]) -> None:
    own = resource.getrlimit(number)
    if own == pair:
        return
    try:
        resource.setrlimit(number, pair)
    except (OSError, ValueError):
        # Only what is above our own hard limit is refused: it cannot be had without
        # CAP_SYS_RESOURCE, and less than one may have breaks no protection.
        hard = _least(pair[1], own[1])
        resource.setrlimit(number, (_least(pair[0], hard), hard))


def _least(one: int, other: int) -> int:
    if -1 in (one, other):  # RLIM_INFINITY
        return max(one, other)
    return min(one, other)


# cgroups


def cgroup_of(text: str, controllers: str) -> str | None:
    """The path that /proc/PID/cgroup names for a hierarchy ("" is version 2)."""
    for line in text.split("\n"):
        _, _, rest = line.partition(":")
        name, colon, path = rest.partition(":")
        if colon and name == controllers:
            return path
    return None


def mounted_hierarchies() -> dict[str, tuple[str, str]]:
    """Controllers as /proc/PID/cgroup has them to (mount point, what of the hierarchy is there)."""
    found: dict[str, tuple[str, str]] = {}
    lines = _read("/proc/self/cgroup").split("\n")
    known = [line.split(":", 2)[1] for line in lines if line.count(":") > 1]
    for line in _read("/proc/self/mountinfo").rstrip("\n").split("\n"):
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ")[:3]
        root, where = left.split(" ")[3:5]
        if kind == "cgroup2":
            found.setdefault("", (where, root))
        elif kind == "cgroup":
            words = set(options.split(","))
            for name in known:
                if name and set(name.split(",")) <= words:
                    found.setdefault(name, (where, root))
    return found


def cgroup_directory(hierarchies: dict[str, tuple[str, str]], name: str, path: str) -> str | None:
    """Where the cgroup `path` of a hierarchy is; None where it cannot be reached."""
    if name not in hierarchies or "/../" in f"{path}/":
        return None
    where, root = hierarchies[name]
    if root != "/":
        if path != root and not path.startswith(root + "/"):
            return None
        path = path[len(root) :]
    return where + path.rstrip("/")


def join_cgroups(text: str, hierarchies: dict[str, tuple[str, str]]) -> None:
    """Move to all the cgroups that `text` (/proc/PID/cgroup) names, where we are not in them."""
    own = _read("/proc/self/cgroup")
    if own == text:
        return
    for line in text.split("\n"):
        _, _, rest = line.partition(":")
        name, colon, path = rest.partition(":")
        if not colon or cgroup_of(own, name) == path:
            continue
        directory = cgroup_directory(hierarchies, name, path)
        shown = name or "version 2"
        if directory is None:
            raise rare.error("system", f"the cgroup ({shown}) of the caller cannot be reached")
        try:
            _write(directory + "/cgroup.procs", 0)  # "0" is whoever writes
        except OSError as error:
            raise _error(f"the caller's cgroup ({shown})", error) from None


# the rest


class Confinement:
    """The caller's AppArmor profile, to be entered in the last moment before the program is
    executed. (By "changeprofile", not at the exec: so that what the profile says of executing this
    program, and of what confines it then, holds as if the caller did it.)

    Made as root, since a process that has changed its user may not open the file any more.
    """

    __slots__ = ("_fd", "_name")

    def __init__(self, label: str) -> None:
        self._name = label.rpartition(" (")[0] or label
        self._fd = posix.open(_APPARMOR, posix.O_WRONLY | posix.O_CLOEXEC)

    def enter(self) -> None:
        _try("the caller's AppArmor profile", posix.write, self._fd, self._command())

    def _command(self) -> bytes:
        return f"changeprofile {self._name}".encode("utf-8", "surrogateescape")


def security_context(label: str | None) -> Confinement | None:
    """Take on the caller's SELinux or AppArmor context (`label`): SELinux's comes with the next
    exec, AppArmor's is given back, to be entered.

    SELinux is not run against an enforcing policy so far: what the policy then says to it is its
    own matter, and a refusal is an error, never a program without confinement.
    """
    if not label:
        return None
    apparmor = _current(_APPARMOR)
    if apparmor == label:
        return None
    if apparmor:
        return Confinement(label)
    if _exists("/sys/fs/selinux/enforce") and _current("/proc/self/attr/current") != label:
        _try("the caller's SELinux context", _write_text, "/proc/self/attr/exec", label)
    return None


def _current(path: str) -> str:
    try:
        return _read(path).rstrip("\n\0")
    except OSError:
        return ""


def _exists(path: str) -> bool:
    return posix.access(path, posix.F_OK)


def _favour(favoured: bool, act: object, *args: object) -> None:
    try:
        act(*args)  # type: ignore[operator]
    except OSError:
        if not favoured:
            raise


def _try(what: str, act: object, *args: object) -> None:
    try:
        act(*args)  # type: ignore[operator]
    except OSError as error:
        raise _error(what, error) from None


def _read(path: str) -> str:
    """Not by open(): that is four more system calls, and a codec to be loaded."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = b""
        while chunk := posix.read(fd, 16384):
            data += chunk
        return data.decode("utf-8", "surrogateescape")
    finally:
        posix.close(fd)


def _write(path: str, number: int) -> None:
    _write_text(path, str(number))


def _write_text(path: str, text: str) -> None:
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, text.encode("utf-8", "surrogateescape"))
    finally:
        posix.close(fd)


def _write_quietly(path: str, number: int) -> None:
    try:
        _write(path, number)
    except OSError:
        pass  # set already and immutable, or no audit system


def _error(what: str, error: OSError) -> Exception:
    return rare.error("system", f"{what} cannot be taken on: {error.strerror}")
