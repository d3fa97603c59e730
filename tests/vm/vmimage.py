# SPDX-License-Identifier: GPL-3.0-or-later
"""Images for the acceptance machine: what is in them, how they are built, where they are kept.

Three layers, each kept in the cache under a hash of what defines it and built when that changes:

  root    a Debian with systemd, logind, polkit, resolved and all that netjail needs (mmdebstrap)
  deb     netjail's package, and its wheel, built from this checkout in a fresh build root of the
          same Debian
  image   root + deb + tests/vm/image, as an ext4 file system

A root costs one to two minutes, once; a changed netjail costs the other two, 20 to 40 seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
SUITES = ("bookworm", "trixie")
NICE = 10
"""Of all that takes long."""


def _words(text: str) -> list[str]:
    return text.split()


_SYSTEM = _words("""
    apt bash coreutils dbus e2fsprogs initramfs-tools iproute2 iputils-ping kmod less
    libnss-resolve libpam-systemd linux-image-amd64 login network-manager openssh-client
    openssh-server passwd pkexec polkitd procps python3 sudo systemd systemd-resolved
    systemd-sysv udev util-linux
""")
_TOOLS = _words("""
    apparmor curl file psmisc python3-pexpect python3-venv strace tcpdump tmux vim-tiny
""")
_NETWORKS = _words("iw openconnect openssl openvpn openvswitch-switch udhcpc")
"""What some profiles need, and netjail's package does not depend on."""

_BUILD = _words("""
    debhelper dh-python pybuild-plugin-pyproject python3 python3-build python3-setuptools
    python3-wheel
""")

_LEFT_OUT = [
    "/usr/share/locale/*",
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    # Modules for hardware that no machine of ours has: two thirds of the kernel package.
    *(
        f"{usr}/lib/modules/*/kernel/{part}/*"
        for usr in ("", "/usr")
        for part in (
            "sound",
            *(
                f"drivers/{driver}"
                for driver in _words(
                    "gpu media infiniband scsi iio staging hwmon mmc mtd isdn target ata usb "
                    "md block/drbd edac leds power rtc watchdog platform video bluetooth "
                    "net/wireless net/ethernet net/usb net/can net/fddi net/phy crypto i2c "
                    "pinctrl regulator spi thunderbolt nvme message mfd gpio hid accel w1 "
                    "input/touchscreen input/joystick input/tablet comedi memstick firewire "
                    "ufs soundwire char/tpm comedi atm cxl vdpa vfio hv"
                )
            ),
            "fs/xfs",
            "fs/btrfs",
            "fs/ocfs2",
            "fs/gfs2",
            "fs/f2fs",
            "fs/bcachefs",
            "fs/jfs",
            "fs/nfs",
            "fs/nfsd",
            "fs/ceph",
            "fs/smb",
            "fs/cifs",
            "fs/ubifs",
            "fs/reiserfs",
        )
    ),
]
_KEPT = [  # of what is left out: a radio that is none, under either name that it has had
    f"{usr}/lib/modules/*/kernel/drivers/net/wireless/{place}mac80211_hwsim.ko*"
    for usr in ("", "/usr")
    for place in ("", "virtual/")
]
MODULES = _words("""
    wireguard openvswitch bridge macvlan ipvlan sch_netem sch_tbf veth overlay nf_tables 9p
    virtio_blk ext4 mac80211_hwsim
""")
"""Kernel modules that must be in the image; some flavours of the kernel package lack some."""


class BuildError(Exception):
    """An image could not be built: what and why. `skip`: this machine can never build one."""

    def __init__(self, text: str, *, skip: bool = False) -> None:
        super().__init__(text)
        self.skip = skip


@dataclass(frozen=True)
class Image:
    """What a machine is booted from."""

    suite: str
    disk: Path
    kernel: Path
    initrd: Path
    deb: Path

    @property
    def wheel(self) -> Path:
        return next(self.deb.parent.glob("netjail-*.whl"))


def cache_dir() -> Path:
    """Where images are kept, outside the checkout."""
    chosen = os.environ.get("NETJAIL_TESTS_CACHE")
    if chosen:
        return Path(chosen)
    xdg = os.environ.get("XDG_CACHE_HOME")
    return Path(xdg) / "netjail-tests" if xdg else Path("/var/cache/netjail-tests")


def impossible() -> str | None:
    """Why this machine cannot build or boot images; None when it seems able to."""
    if os.geteuid() != 0:
        return "needs root (chroot, overlay mounts)"
    if os.uname().machine != "x86_64":
        return f"the images are for x86_64, this is {os.uname().machine}"
    for program, package in (
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("mmdebstrap", "mmdebstrap"),
        ("mke2fs", "e2fsprogs"),
        ("unshare", "util-linux"),
    ):
        if shutil.which(program) is None:
            return f"needs {program} (Debian package {package})"
    return None


def get(suite: str, source: Path = REPO) -> Image:
    """The image of `suite` with the netjail of `source` in it; built where it is not cached."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    cache.chmod(0o755)  # others keep things here too; what holds set-user-ID programs is closed
    with _lock(cache / f"{suite}.lock"):
        root = _root(suite, source)
        deb = _deb(suite, source)
        return _image(suite, root, deb)


@contextlib.contextmanager
def checkout(revision: str | None) -> Iterator[Path]:
    """The tree of a commit of this repository, for a while; None: the work tree as it is."""
    if revision is None:
        yield REPO
        return
    with tempfile.TemporaryDirectory(prefix="netjail-rev-") as place:
        archive = subprocess.run(
            ["git", "-c", f"safe.directory={REPO}", "-C", str(REPO), "archive", revision],
            stdout=subprocess.PIPE,
            check=True,
        )
        subprocess.run(["tar", "-x", "-C", place], input=archive.stdout, check=True)
        yield Path(place)


def forget(suite: str) -> None:
    """Drop everything that is cached for `suite`."""
    for path in cache_dir().glob(f"{suite}-*"):
        shutil.rmtree(path)


def say(text: str) -> None:
    print(f"vm: {text}", flush=True)


# Layers ---------------------------------------------------------------------------------------


def _root(suite: str, source: Path) -> Path:
    """The directory with the Debian that netjail is installed in."""
    packages = sorted({*_SYSTEM, *_TOOLS, *_NETWORKS, *_depends(source)})
    hooks = [
        # A small initial RAM disk with what the disk needs, quick to unpack under emulation.
        "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d;"
        " printf 'MODULES=list\\nCOMPRESS=gzip\\n' > $1/etc/initramfs-tools/conf.d/vm;"
        " printf 'virtio_pci\\nvirtio_blk\\next4\\n' > $1/etc/initramfs-tools/modules",
        # Removed by mmdebstrap or made by it from the building machine's.
        "--customize-hook=ln -sf ../run/systemd/resolve/stub-resolv.conf $1/etc/resolv.conf;"
        " : > $1/etc/machine-id; echo netjail-vm > $1/etc/hostname;"
        " printf '127.0.0.1 localhost netjail-vm\\n::1 localhost\\n' > $1/etc/hosts",
    ]
    options = [
        "--variant=minbase",
        *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
        *(f"--dpkgopt=path-include={path}" for path in _KEPT),
        *hooks,
    ]
    return _mmdebstrap(suite, "root", packages, options, _check_root)


def _check_root(root: Path) -> None:
    listing = {p.name.split(".ko")[0] for p in root.glob("lib/modules/*/kernel/**/*.ko*")}
    builtin = root.glob("lib/modules/*/modules.builtin")
    for path in builtin:
        listing |= {Path(line).stem for line in path.read_text().split()}
    missing = [name for name in MODULES if name not in listing]
    if missing:
        raise BuildError(f"the kernel of the image lacks modules: {', '.join(missing)}")
    _boot_files(root)


def _build_root(suite: str) -> Path:
    """The directory with the Debian that netjail's package is built in."""
    options = ["--variant=buildd", "--dpkgopt=path-exclude=/usr/share/man/*"]
    return _mmdebstrap(suite, "build", sorted(_BUILD), options)


def _mmdebstrap(suite: str, kind: str, packages: list[str], options: list[str], check=None) -> Path:
    key = _hash(suite, kind, *packages, *options)
    place = cache_dir() / f"{suite}-{kind}-{key}"
    if (place / "done").exists():
        return place / "tree"
    mirror = _mirror()
    say(f"{suite}: builds the {kind} of {len(packages)} packages (one to two minutes, kept)")
    started = time.monotonic()
    _drop_others(suite, kind, place.name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)  # set-user-ID programs are in it
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--format=directory",
        f"--include={','.join(packages)}",
        "--aptopt=APT::Install-Recommends false",
        *(f"--aptopt={line}" for line in _apt_settings()),
        *options,
        suite,
        str(place / "tree"),
        f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main",
    ]
    _run(argv, place / "log")
    if check is not None:
        check(place / "tree")
    (place / "done").touch()
    say(f"{suite}: the {kind} took {time.monotonic() - started:.0f} s")
    return place / "tree"


def _deb(suite: str, source: Path) -> Path:
    """netjail's package, built in a fresh build root by packaging/build-deb.sh. Beside it is the
    wheel."""
    files = _sources(source)
    key = _hash(suite, *_BUILD, *(f"{path} {_digest(source / path)}" for path in files))
    place = cache_dir() / f"{suite}-deb-{key}"
    if (place / "done").exists():
        return next(place.glob("netjail_*.deb"))
    base = _build_root(suite)
    say(f"{suite}: builds netjail's package")
    started = time.monotonic()
    _drop_others(suite, "deb", place.name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)  # set-user-ID programs are in it
    with _overlay(base, place / "work") as tree:
        checkout = tree / "build/checkout"
        for path in files:
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / path, checkout / path, follow_symlinks=False)
        _chroot(
            tree,
            ["/build/checkout/packaging/build-deb.sh", "--output", "/build/out"],
            place / "log",
        )
        wheel = ["python3", "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
        _chroot(tree, [*wheel, "--outdir", "/build/out", "/build/checkout"], place / "log")
        for path in (tree / "build/out").iterdir():
            shutil.copy2(path, place / path.name)
    (place / "done").touch()
    say(f"{suite}: the package took {time.monotonic() - started:.0f} s")
    return next(place.glob("netjail_*.deb"))


def _image(suite: str, root: Path, deb: Path) -> Image:
    extra = sorted(p for p in (HERE / "image").rglob("*") if p.is_file())
    key = _hash(
        root.parent.name,
        deb.parent.name,
        *(f"{path} {_digest(path)}" for path in extra),
        _digest(Path(__file__)),
    )
    place = cache_dir() / f"{suite}-image-{key}"
    kernel, initrd = _boot_files(root)
    image = Image(suite, place / "disk.ext4", kernel, initrd, deb)
    if (place / "done").exists():
        return image
    say(f"{suite}: installs the package and makes the disk")
    started = time.monotonic()
    _drop_others(suite, "image", place.name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)  # set-user-ID programs are in it
    with _overlay(root, place / "work") as tree:
        shutil.copytree(HERE / "image", tree / "vm", dirs_exist_ok=True)
        shutil.copy2(deb, tree / "vm" / "netjail.deb")
        _chroot(tree, ["/bin/sh", "-eu", "/vm/setup.sh", suite], place / "log")
        shutil.rmtree(tree / "vm")
        _run(
            [
                *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(tree)),
                *(str(image.disk), "3G"),
            ],
            place / "log",
        )
    (place / "done").touch()
    say(f"{suite}: the disk took {time.monotonic() - started:.0f} s")
    return image


def _boot_files(root: Path) -> tuple[Path, Path]:
    kernels = sorted(root.glob("boot/vmlinuz-*"))
    initrds = sorted(root.glob("boot/initrd.img-*"))
    if not kernels or not initrds:
        raise BuildError("the image has no kernel or no initial RAM disk")
    return kernels[-1], initrds[-1]


# What goes in ---------------------------------------------------------------------------------


def _depends(source: Path) -> list[str]:
    """The packages that netjail's package depends on, from debian/control."""
    text = (source / "packaging/debian/control").read_text()
    binary = text[text.index("\nPackage: netjail\n") :]
    found = re.search(r"^Depends:(.*(?:\n[ \t].*)*)", binary, re.M)
    assert found, "debian/control has no Depends"
    clauses = [clause.strip() for clause in found[1].split(",")]
    first = [clause.split("|")[0].split("(")[0].strip() for clause in clauses]
    return [name for name in first if name and not name.startswith("${")]


def _sources(source: Path) -> list[str]:
    """Paths of a checkout that the package is made of."""
    tops = ("netjail", "data", "packaging", "docs")
    files = ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "netjail.desktop")
    found = [path for path in files if (source / path).is_file()]
    for top in tops:
        for path in sorted((source / top).rglob("*")):
            known = path.is_symlink() or path.is_file()
            if known and "__pycache__" not in path.parts:
                found.append(str(path.relative_to(source)))
    return found


def _mirror() -> str:
    """The Debian archive that this machine's own apt uses."""
    chosen = os.environ.get("NETJAIL_TESTS_MIRROR")
    if chosen:
        return chosen
    if shutil.which("apt-get"):
        done = subprocess.run(
            [
                *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
                *("Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.strip():
            return done.stdout.split()[0]
    raise BuildError(
        "this machine's apt knows no Debian archive (apt-get update may help); "
        "NETJAIL_TESTS_MIRROR=URI names one",
        skip=True,
    )


def _apt_settings() -> list[str]:
    """How this machine's apt reaches its archive: proxies and certificates."""
    done = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False
    )
    wanted = re.compile(r"^Acquire::https?::(Proxy|CAInfo|Verify-\w+|[^ ]*::Proxy)[^ ]* ", re.I)
    return [line.rstrip(";") for line in done.stdout.splitlines() if wanted.match(line)]


# Tools ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _overlay(lower: Path, work: Path) -> Iterator[Path]:
    """A writable view of `lower`; what is written goes away at the end.

    The layer stands on a tmpfs, so that thousands of small files cost no disk.
    """
    work.mkdir(parents=True, exist_ok=True)
    tree = work / "tree"
    mounted = []
    try:
        _mount(["-t", "tmpfs", "-o", "size=3g,mode=755", "tmpfs", str(work)])
        mounted.append(work)
        for name in ("upper", "work", "tree"):
            (work / name).mkdir()
        layers = f"lowerdir={lower},upperdir={work}/upper,workdir={work}/work"
        _mount(["-t", "overlay", "-o", layers, "overlay", str(tree)])
        mounted.append(tree)
        yield tree
    finally:
        for path in reversed(mounted):
            subprocess.run(["umount", "-l", str(path)], check=False)
        work.rmdir()


def _mount(arguments: list[str]) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _chroot(tree: Path, argv: list[str], log: Path) -> None:
    """Run a program in `tree`, without a network and without seeing our processes."""
    script = (
        'set -eu; mount --rbind /dev "$0/dev"; mount -t proc proc "$0/proc";'
        ' mount -t tmpfs tmpfs "$0/run"; exec chroot "$0" "$@"'
    )
    prefix = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private"]
    environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
    environment += ["LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
    _run([*environment, *prefix, "sh", "-c", script, str(tree), *argv], log)


def gently(argv: list[str]) -> list[str]:
    """The command, so that whoever works on this machine meanwhile hardly notices."""
    more = NICE - os.nice(0)
    return ["nice", "-n", str(more), *argv] if more > 0 else argv


def _run(argv: list[str], log: Path) -> None:
    """Run a program, its output into `log`. Raises BuildError with the end of the log."""
    with log.open("a") as out:
        print("+", *argv, file=out, flush=True)
        done = subprocess.run(
            gently(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        tail = "".join(log.read_text(errors="replace").splitlines(True)[-25:])
        raise BuildError(f"{Path(argv[0]).name} failed; the end of {log}:\n{tail}")


def _drop_others(suite: str, kind: str, keep: str) -> None:
    """What is superseded goes; the two newest stay, for a look back or a switch of branches."""
    others = [p for p in cache_dir().glob(f"{suite}-{kind}-*") if p.name != keep]
    others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    for path in others[1:]:
        shutil.rmtree(path)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    mode = path.stat().st_mode & 0o111
    return f"{mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waits for another build of the same image")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for _suite in sys.argv[1:] or SUITES:
        say(str(get(_suite).disk))
