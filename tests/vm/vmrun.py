# SPDX-License-Identifier: GPL-3.0-or-later
"""The acceptance machine: boots an image, has the suites run in it, collects what they say.

The machine has no network. Scripts and results pass over two 9p shares: tests/vm/guest, read
only, and a directory of results, where each suite leaves SUITE.tap and SUITE.log, and the machine
its journal. It goes off by itself; past the time limit it is ended.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import vmimage
from vmimage import BuildError, Image, say

GUEST = vmimage.HERE / "guest"
BOOT_SECONDS, SUITE_SECONDS = 180.0, 1230.0
"""How long a machine may take: to come up and go off, and for each suite. Under emulation 40 and 60
to 150 are usual; on a busy machine it is three times that."""
KVM_SECONDS = 12.0
"""How long a kernel may take under KVM to find that it has no disk; one that works takes two."""
MEMORY = "1536M"


@dataclass(frozen=True)
class Result:
    """One test of a suite, as its TAP says."""

    suite: str
    title: str
    ok: bool
    skipped: str | None = None
    detail: str = ""


@dataclass
class Round:
    """What came of one boot."""

    place: Path
    seconds: float = 0.0
    ended: bool = False
    """The machine went off by itself, after its runner had said so."""
    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems and all(result.ok for result in self.results)


def suites(debian: str | None = None) -> list[str]:
    """Names of the suites in the order in which they can share a machine; for a Debian: those that
    are run on it where nothing else is asked for. The newest runs all, older ones what depends on
    the system most."""
    found = sorted((GUEST / "suites").glob("*.py"), key=lambda path: (_place(path), path.stem))
    names = [path.stem for path in found]
    return names if debian in (None, vmimage.SUITES[-1]) else [x for x in names if x in ON_ALL]


ON_ALL = ("root", "session", "networks", "uplinks", "recipes")


def _place(suite: Path) -> int:
    """-1, 1: a suite that has to be before, or after, those it shares a machine with has the line
    `# place: first` or `# place: last`."""
    text = suite.read_text()
    return ("\n# place: last\n" in text) - ("\n# place: first\n" in text)


def run(
    image: Image, chosen: list[str], *, limit: float | None = None, shell: bool = False
) -> Round:
    """Boot `image`, run the suites, one after the other, give what they said. The results stay in
    Round.place. `limit`: seconds, for all of it."""
    if limit is None:
        limit = BOOT_SECONDS + SUITE_SECONDS * len(chosen)
    place = vmimage.cache_dir() / "results" / f"{image.suite}-{'-'.join(chosen) or 'shell'}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copy2(image.deb, place / "netjail.deb")
    shutil.copy2(image.wheel, place / image.wheel.name)
    shutil.copytree(vmimage.REPO / "docs/recipes", place / "recipes")
    shutil.copy2(vmimage.REPO / "tests/netns/recipe.py", place / "recipes")
    job = {"suites": chosen, "debian": image.suite, "shell": shell}
    (place / "job.json").write_text(json.dumps(job))
    accel = accelerator(image.kernel)
    say(f"{image.suite}: boots ({accel}) for {', '.join(chosen) or 'a shell'}")
    outcome = Round(place)
    with _alone():
        started = time.monotonic()
        code = _boot(_command(image, place, accel, shell), place, None if shell else limit)
        outcome.seconds = time.monotonic() - started
    outcome.ended = (place / "done").exists()
    if code is None:
        outcome.problems.append(f"the machine did not go off within {limit:.0f} s")
    elif code != 0:
        outcome.problems.append(f"qemu ended with status {code}: {_tail(place / 'qemu.log')}")
    elif not outcome.ended and not shell:
        outcome.problems.append("the machine went off before its runner was done")
    for suite in chosen:
        results, problem = read_tap(suite, place / f"{suite}.tap")
        outcome.results += results
        if problem:
            outcome.problems.append(f"{suite}: {problem}; see {place}/{suite}.log")
    return outcome


def read_tap(suite: str, path: Path) -> tuple[list[Result], str | None]:
    """The tests in a TAP file, and what is wrong with it as a whole."""
    if not path.exists():
        return [], "the suite did not start"
    results: list[Result] = []
    planned: int | None = None
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("Bail out!"):
            return results, "given up, because what it needs failed"
        if line.startswith(("ok ", "not ok ")):
            head, _, title = line.partition(" - ")
            title, _, skipped = title.partition(" # SKIP ")
            results.append(Result(suite, title, not head.startswith("not"), skipped or None))
        elif line.startswith("1.."):
            planned = int(line[3:].split()[0])
        elif line.startswith("# ") and results:
            last = results[-1]
            detail = last.detail + line[2:] + "\n"
            results[-1] = Result(suite, last.title, last.ok, last.skipped, detail)
    if planned is None:
        return results, "the suite did not come to its end"
    if planned != len(results):
        return results, f"{planned} tests were planned, {len(results)} reported"
    return results, None


def accelerator(kernel: Path) -> str:
    """`kvm` where a kernel of ours really runs under it, else `tcg` (emulation).

    /dev/kvm may be there and yet hang (nested, paravirtual hosts). The answer is kept until the
    next boot of this machine.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    key = hashlib.sha256(f"{boot} {kernel.name}".encode()).hexdigest()[:16]
    kept = vmimage.cache_dir() / "kvm.json"
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(kept.read_text())
        if key in known:
            return str(known[key])
    argv = ["qemu-system-x86_64", "-accel", "kvm", "-m", "256M", "-nodefaults", "-display", "none"]
    argv += ["-no-reboot", "-serial", "stdio", "-kernel", str(kernel)]
    argv += ["-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=KVM_SECONDS,
            check=False,
        )
        works = done.returncode == 0 and b"Kernel panic" in done.stdout
    except subprocess.TimeoutExpired:
        works = False
    answer = "kvm" if works else "tcg"
    kept.write_text(json.dumps({key: answer}))
    return answer


def _command(image: Image, place: Path, accel: str, shell: bool) -> list[str]:
    kernel_line = [
        "root=/dev/vda rw console=tty0 console=ttyS0 quiet loglevel=4 net.ifnames=0",
        "mitigations=off audit=0 random.trust_cpu=on fsck.mode=skip",
        "systemd.show_status=0 systemd.default_timeout_start_sec=120",
    ]
    tcg = ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]
    return [
        "qemu-system-x86_64",
        *(["-accel", "kvm", "-cpu", "host"] if accel == "kvm" else tcg),
        *("-machine", "pc", "-nodefaults", "-no-user-config", "-nic", "none"),
        *("-smp", str(min(2, os.cpu_count() or 1)), "-m", MEMORY),
        *("-vga", "std", "-display", "none"),
        *("-serial", "mon:stdio" if shell else f"file:{place}/console.txt"),
        *("-device", "virtio-rng-pci"),
        # What the machine writes is thrown away.
        *("-drive", f"if=none,id=disk,file={image.disk},format=raw,snapshot=on,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *_share("tests", GUEST, ",readonly=on"),
        *_share("results", place, ""),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", " ".join(kernel_line)),
    ]


def _share(tag: str, path: Path, more: str) -> list[str]:
    device = f"local,id={tag},path={path},security_model=none,multidevs=remap{more}"
    return ["-fsdev", device, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One machine at a time: two that are emulated take more than twice as long, and what waits in
    them gives up."""
    with (vmimage.cache_dir() / "boot.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _boot(argv: list[str], place: Path, limit: float | None) -> int | None:
    """Run qemu to its end; its exit status, None when the limit ended it."""
    with (
        tempfile.TemporaryDirectory(prefix="netjail-vm-", dir="/var/tmp") as scratch,
        (place / "qemu.log").open("w") as log,
    ):
        process = subprocess.Popen(
            vmimage.gently(argv),
            stdin=None if limit is None else subprocess.DEVNULL,
            stdout=None if limit is None else log,
            stderr=None if limit is None else log,
            env={**os.environ, "TMPDIR": scratch},
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()


def _tail(path: Path) -> str:
    with contextlib.suppress(OSError):
        return " ".join(path.read_text(errors="replace").split()[-40:])
    return ""


def report(image: Image, outcome: Round) -> None:
    """Print what came of a boot."""
    for result in outcome.results:
        mark = "skip" if result.skipped else "ok" if result.ok else "FAILED"
        more = f" ({result.skipped})" if result.skipped else ""
        print(f"  {mark:6} {result.suite}: {result.title}{more}")
        if not result.ok:
            print("".join(f"         | {line}\n" for line in result.detail.splitlines()), end="")
    for problem in outcome.problems:
        print(f"  FAILED {problem}")
    good = sum(result.ok for result in outcome.results)
    say(
        f"{image.suite}: {good} of {len(outcome.results)} tests passed in {outcome.seconds:.0f} s; "
        f"logs in {outcome.place}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/vm/run.sh")
    parser.add_argument("names", nargs="*", metavar="DEBIAN|SUITE")
    parser.add_argument("--build", action="store_true", help="build the images, boot nothing")
    parser.add_argument("--fresh", action="store_true", help="forget the cached images first")
    parser.add_argument("--rev", metavar="COMMIT", help="package this commit, not the work tree")
    parser.add_argument("--list", action="store_true", help="name the suites")
    parser.add_argument("--all", action="store_true", help="every suite on each Debian")
    parser.add_argument("--shell", action="store_true", help="a shell in the machine (root/root)")
    parser.add_argument("--time-limit", type=float, metavar="SECONDS")
    options = parser.parse_args()
    if options.list:
        print("\n".join(suites()))
        return 0
    debians = [name for name in options.names if name in vmimage.SUITES] or list(vmimage.SUITES)
    chosen = [name for name in options.names if name not in vmimage.SUITES]
    unknown = [name for name in chosen if name not in suites()]
    if unknown:
        parser.error(f"no Debian or suite is called {unknown[0]!r}; suites: {', '.join(suites())}")
    reason = vmimage.impossible()
    if reason:
        say(f"not possible here: {reason}")
        return 77
    good = True
    for debian in debians:
        try:
            if options.fresh:
                vmimage.forget(debian)
            with vmimage.checkout(options.rev) as source:
                image = vmimage.get(debian, source)
        except BuildError as error:
            say(f"{debian}: {error}")
            if error.skip:
                return 77
            good = False
            continue
        if options.build:
            say(f"{debian}: {image.disk}")
            continue
        names = sorted(chosen, key=suites().index) or suites(None if options.all else debian)
        if options.shell:
            names = []
        outcome = run(image, names, limit=options.time_limit, shell=options.shell)
        report(image, outcome)
        good = good and outcome.ok
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
