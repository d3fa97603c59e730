# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a program runs as: found on the host, taken on inside the jail.

On the launch path: imports nothing that is not built in.
"""

import posix
import pwd
import sys

from netjail.launch import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netjail.errors import NetjailError

Env = dict[bytes, bytes]
"""An environment as the kernel has it."""

_RUN_USER = "/run/user"


class Identity:
    """A user as a program's credentials and surroundings need him.

    `by_sudo`: he is whoever called sudo, so what he brought along by way of sudo is his own.
    """

    __slots__ = ("by_sudo", "gid", "groups", "home", "name", "shell", "uid")

    def __init__(
        self,
        *,
        uid: int,
        gid: int,
        groups: list[int],
        name: str,
        home: str,
        shell: str,
        by_sudo: bool = False,
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.name = name
        self.home = home
        self.shell = shell
        self.by_sudo = by_sudo


def resolve(user: str | None, env: Env) -> Identity | None:
    """Who the program is to run as; None: whoever we are, with nothing changed.

    `user` is what -u says: a name, or a number. Without it, it is the user who called sudo, if
    one did. To be called before entering: the user data base may be on the host's network.
    Raises NetjailError for a user who is not known: never root in his place.
    """
    if user is not None:
        entry = _lookup(user)
        if entry is None:
            raise _error("usage", f"there is no user {user}", "`getent passwd` lists the users.")
        return None if entry.pw_uid == 0 else _identity(entry, entry.pw_gid)
    caller = env.get(b"SUDO_UID")
    if not caller or caller == b"0":
        return None
    entry = _caller(caller, env.get(b"SUDO_USER", b""))
    if entry is None or entry.pw_uid == 0:
        raise _error(
            "usage",
            f"SUDO_UID is {caller.decode(errors='replace')!r}, which is not the number of a user",
            "Say who the program is to run as: `netjail run -u USER ...` (or `-u root`).",
        )
    group = env.get(b"SUDO_GID", b"")
    return _identity(entry, int(group) if _is_id(group) else entry.pw_gid, by_sudo=True)


def _lookup(user: str) -> pwd.struct_passwd | None:
    """The entry of a user by name or, where no name fits, by number. Like sudo, also `#1000`."""
    try:
        return pwd.getpwnam(user)
    except (KeyError, ValueError):
        pass
    number = user.removeprefix("#").encode("utf-8", "surrogateescape")
    try:
        return pwd.getpwuid(int(number)) if _is_id(number) else None
    except (KeyError, OverflowError):
        return None


def _caller(uid: bytes, name: bytes) -> pwd.struct_passwd | None:
    """The entry of the user who called sudo: the one of that name among those of that number."""
    if not _is_id(uid):
        return None
    try:
        entry = pwd.getpwnam(name.decode("utf-8", "surrogateescape"))
        if entry.pw_uid == int(uid):
            return entry
    except (KeyError, ValueError):
        pass
    try:
        return pwd.getpwuid(int(uid))
    except (KeyError, OverflowError):
        return None


def _is_id(text: bytes) -> bool:
    """Whether `text` is a decimal uid or gid (2**32 - 1 means "none" to the kernel)."""
    return text.isdigit() and len(text) <= 10 and int(text) < 2**32 - 1


def _identity(entry: pwd.struct_passwd, gid: int, by_sudo: bool = False) -> Identity:
    return Identity(
        uid=entry.pw_uid,
        gid=gid,
        groups=posix.getgrouplist(entry.pw_name, gid),
        name=entry.pw_name,
        home=entry.pw_dir or "/",
        shell=entry.pw_shell or "/bin/sh",
        by_sudo=by_sudo,
    )


def environment(identity: Identity | None, env: Env) -> Env:
    """`env` as it is for `identity`: his HOME and so on, his session, nothing of sudo."""
    env = dict(env)
    _undo_coercion(env)
    if identity is None:
        return env
    for name in [name for name in env if name.startswith(b"SUDO_")]:
        del env[name]
    name = _bytes(identity.name)
    env[b"HOME"] = _bytes(identity.home)
    env[b"SHELL"] = _bytes(identity.shell)
    env[b"USER"] = env[b"LOGNAME"] = name
    env[b"MAIL"] = b"/var/mail/" + name
    runtime = f"{_RUN_USER}/{identity.uid}"
    if not identity.by_sudo:  # somebody else's
        env.pop(b"XDG_RUNTIME_DIR", None)
        env.pop(b"DBUS_SESSION_BUS_ADDRESS", None)
    if _belongs(runtime, identity.uid):
        env[b"XDG_RUNTIME_DIR"] = _bytes(runtime)
        if _belongs(f"{runtime}/bus", identity.uid):
            env[b"DBUS_SESSION_BUS_ADDRESS"] = _bytes(f"unix:path={runtime}/bus")
    return env


def _undo_coercion(env: Env) -> None:
    """Take back what Python does to LC_CTYPE in the C locale (PEP 538): it is not the caller's."""
    if env.get(b"LC_CTYPE") not in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        return
    fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = b"".join(iter(lambda: posix.read(fd, 65536), b""))
    finally:
        posix.close(fd)
    for entry in data.split(b"\0"):
        if entry.startswith(b"LC_CTYPE="):
            env[b"LC_CTYPE"] = entry[9:]
            return
    del env[b"LC_CTYPE"]


def _belongs(path: str, uid: int) -> bool:
    try:
        return posix.stat(path, follow_symlinks=False).st_uid == uid
    except OSError:
        return False


def drop(identity: Identity) -> None:
    """Become `identity` for good, with no capability and no way back.

    Raises NetjailError when anything of root would be left; the caller must then end.
    """
    try:
        posix.setgroups(identity.groups)
        posix.setresgid(identity.gid, identity.gid, identity.gid)
        posix.setresuid(identity.uid, identity.uid, identity.uid)
        syscalls.drop_capabilities()
    except OSError as error:
        raise _error("system", f"cannot become {identity.name}: {error.strerror}") from None
    if _is_still_root(identity):
        raise _error(
            "system",
            f"something of root is left after becoming {identity.name}",
            "Are secure bits of the process set (capsh --print)? netjail does not go on like this.",
        )


def _is_still_root(identity: Identity) -> bool:
    """Whether the process is not wholly `identity`, or could become root again."""
    try:
        posix.setuid(0)
    except OSError:
        pass
    else:
        return True
    return (
        posix.getresuid() != (identity.uid,) * 3
        or posix.getresgid() != (identity.gid,) * 3
        or syscalls.capabilities() != (0, 0, 0)  # the ambient set is within these
    )


def _bytes(text: str) -> bytes:
    return text.encode(sys.getfilesystemencoding(), "surrogateescape")


def _error(code: str, message: str, hint: str | None = None) -> "NetjailError":
    from netjail.launch import rare  # only now: a launch that succeeds does without

    return rare.error(code, message, hint)
