# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh Debian in a directory, and commands run in it as on a machine of its own.

    tests/fresh/freshroot.py SUITE [COMMAND...]

makes a minimal Debian SUITE ("bookworm", "trixie") by mmdebstrap, puts a copy of this checkout in
/home/user/netjail, and runs the commands there (default: packaging/demo.sh, then tests/run.sh
--quick). Where packages come from, and how pip and apt get at them, is taken from this machine's
own settings at run time. Needs root.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CHECKOUT = "/home/user/netjail"
USER = 1000
CARRIED = "/opt/carried"
"""Where the fresh machine finds this one's certificates and local package directories."""
DEFAULT = (("packaging/demo.sh",), ("tests/run.sh", "--quick"))

ENTER = """
set -eu
root=$1; directory=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/run/lock" "$root/run/old"
cp -L /etc/hosts /etc/resolv.conf "$root/etc/"
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --bind -o ro "$1" "$root$1"
    shift
done
shift
cd "$root"
pivot_root . run/old
umount -l /run/old
rmdir /run/old
cd "$directory"
exec "$@"
"""


def why_not() -> str | None:
    """Why no fresh machine can be made here; None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("mmdebstrap", "apt-get", "apt-config"):
        if shutil.which(program) is None:
            return f"not installed: {program}"
    if release().get("ID") != "debian":
        return "the package sources of this machine are not Debian's"
    return None


def release() -> dict[str, str]:
    """/etc/os-release."""
    lines = Path("/etc/os-release").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name: value.strip('"') for name, value in pairs}


def said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def sources(suite: str) -> list[str]:
    """This machine's own package sources, for another suite."""
    own = release()["VERSION_CODENAME"]
    form = "$(CREATED_BY)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)"
    found = []
    for line in sorted(set(said("apt-get", "indextargets", "--format", form).splitlines())):
        kind, uri, name, component = line.split("\t")
        if kind == "Packages" and component == "main" and re.match(rf"{own}(-|$)", name):
            found.append(f"deb {uri} {name.replace(own, suite, 1)} main")
    return found


def apt_settings() -> str:
    """How this machine's apt gets at its sources (proxies, time limits, checks)."""
    wanted = re.compile(r"Acquire::(http|https|ftp|Retries|Check-|ForceIPv|Queue)", re.IGNORECASE)
    lines = said("apt-config", "dump", "Acquire").splitlines()
    return "".join(f"{line}\n" for line in lines if wanted.match(line))


def build(suite: str, root: Path) -> None:
    """A minimal Debian of that suite, as a directory. Raises CalledProcessError."""
    make = ("mmdebstrap", "--quiet", "--variant=minbase")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        settings.write(apt_settings())
        settings.flush()
        subprocess.run(
            [*make, f"--aptopt={settings.name}", suite, str(root), "-"],
            input="\n".join(sources(suite)) + "\n",
            text=True,
            check=True,
            capture_output=True,
        )


def put_checkout(root: Path) -> None:
    """The files of the checkout that belong to it, owned by an ordinary user there."""
    git = ("git", "-c", "safe.directory=*", "-C", str(ROOT))
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout
    target = root / CHECKOUT.lstrip("/")
    for name in map(os.fsdecode, filter(None, listed.split(b"\0"))):
        source = ROOT / name
        if source.is_symlink() or source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    for directory, directories, files in os.walk(root / "home/user"):  # links are in either
        for path in (directory, *(os.path.join(directory, f) for f in directories + files)):
            os.chown(path, USER, USER, follow_symlinks=False)


@dataclass
class Carried:
    """What of this machine's settings the fresh one needs: variables of the environment, and
    directories (of Python packages) to be seen there under the same names."""

    env: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)


def carry(root: Path) -> Carried:
    """This machine's settings of pip and of certificates; copies the files that they name."""
    result = Carried()
    env = result.env
    for line in said(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, value = line.split("=", 1)
        section, _, key = name.partition(".")
        if section in ("global", "install", ":env:") and key:
            text = str(ast.literal_eval(value))
            env[f"PIP_{key.strip('.').replace('-', '_').upper()}"] = text
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE"):
            env[name] = value
    carried = root / CARRIED.lstrip("/")
    for number, (name, value) in enumerate(sorted(env.items())):
        for path in re.findall(r"(?:(?<=file://)|(?<![^\s]))(/[^\s]*)", value):
            if not os.path.exists(path):
                continue
            if os.path.isdir(path):  # an index "simple" may link to files beside it
                simple = os.path.basename(path) == "simple"
                result.directories.add(os.path.dirname(path) if simple else path)
            else:
                carried.mkdir(parents=True, exist_ok=True)
                place = f"{CARRIED}/{number}-{os.path.basename(path)}"
                shutil.copy(path, root / place.lstrip("/"))
                env[name] = env[name].replace(path, place)
    return result


def run(
    root: Path,
    argv: Sequence[str],
    carried: Carried,
    cwd: str = CHECKOUT,
    timeout: float = 1800,
    echo: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command there as root, in mounts and processes of its own; all it says is in stdout
    (echo: it goes to ours instead)."""
    enter = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
    enter += ["sh", "-c", ENTER, "enter"]
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "TERM": "dumb",
        **carried.env,
    }
    return subprocess.run(
        [*enter, str(root), cwd, *sorted(carried.directories), "--", *argv],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=None if echo else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
    )


@contextmanager
def fresh(suite: str) -> Iterator[tuple[Path, Carried]]:
    """A fresh machine with the checkout; gone afterwards. Gives what `run` wants."""
    with tempfile.TemporaryDirectory(prefix=f"netjail-{suite}-", dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        root = Path(directory) / "root"
        build(suite, root)
        put_checkout(root)
        yield root, carry(root)


def main() -> int:
    """See the module's text."""
    suite, *words = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # clean up first
    begin = time.monotonic()
    with fresh(suite) as (root, carried):
        print(f"-- {suite} made in {time.monotonic() - begin:.0f} s", flush=True)
        for argv in [words] if words else DEFAULT:
            begin = time.monotonic()
            done = run(root, argv, carried, echo=True)
            seconds = time.monotonic() - begin
            print(f"-- {' '.join(argv)}: status {done.returncode}, {seconds:.0f} s", flush=True)
            if done.returncode != 0:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
