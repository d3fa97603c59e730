# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail capture`: what goes over a profile's network, by tcpdump.

The helper's tcpdump only records. Packets come from others, and taking them apart is the risky
part: that is done by a second tcpdump, which has no more rights than whoever reads it; a file is
opened and written by ourselves.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, OutputLostError, plural
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from types import FrameType
    from typing import Any, BinaryIO

_CHUNK = 1 << 18
_LISTENING = re.compile(r"^(tcpdump: )?(verbose output suppressed|listening on|data link type )")
_COUNT = re.compile(r"^(\d+) packets? (captured|received by filter|dropped by kernel)$")


def parser() -> VerbParser:
    """The arguments of `capture`."""
    parser = _Parser(
        "capture",
        "[-w FILE] [-i INTERFACE] [-c COUNT] PROFILE [-- FILTER...]",
        "Shows what goes over a profile's network, or writes it to a file for Wireshark, until\n"
        "you press Ctrl-C. FILTER is what pcap-filter(7) describes. Where a profile is not yours\n"
        "alone this shows what others do, and takes an administrator's password.",
        examples=(
            ("netjail capture vpn", "on the terminal"),
            ("netjail capture -w dns.pcap vpn -- port 53", "into a file of yours"),
            ("netjail capture -w - lab | wireshark -ki -", "as it comes"),
        ),
        exits=(("0", "it ended: by Ctrl-C or after COUNT packets"), ("1", "failed")),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile; it must be up")
    parser.word("filter", nargs="*", metavar="FILTER", help="which packets (default: all)")
    parser.option("-w", "--write", metavar="FILE", help="write to this file (-: standard output)")
    parser.option(
        "-i",
        "--interface",
        default="",
        metavar="INTERFACE",
        help="the interface (default: the only one there is, else `any`)",
    )
    parser.option(
        "-c", "--count", type=_number, default=0, metavar="COUNT", help="end after so many packets"
    )
    parser.option(
        "-s", "--snap", type=_number, default=0, metavar="BYTES", help="only so much of each"
    )
    parser.option("-v", "--verbose", action="count", default=0, help="show more of each packet")
    return parser


class _Parser(VerbParser):
    def parse(self, words: list[str]) -> Namespace:
        """All after the first `--` is the filter's, whatever it looks like."""
        at = words.index("--") if "--" in words else len(words)
        args = super().parse(words[:at])
        args.filter += words[at + 1 :]
        return args


def _number(text: str) -> int:
    import argparse

    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 262144):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 1 to 262144")
    return int(text)


def execute(args: Namespace, context: Context) -> Result:
    """{profile, interface, file, captured, received, dropped}: counts of packets, null where
    tcpdump has not said them."""
    if context.output.json and args.write in (None, "-"):
        raise NetjailError(
            "usage",
            "with --json the packets must go to a file",
            "netjail capture --json -w FILE ... (a file of packets; the counts come on stdout)",
        )
    target = _Target(args)  # before anybody is asked for a password
    try:
        _, fds = context.call_for_descriptors(
            "capture",
            f"starting a capture in {args.profile}",
            profile=args.profile,
            interface=args.interface,
            filter=args.filter,
            snap=args.snap,
            count=args.count,
            live=args.write in (None, "-"),
        )
        if len(fds) != 3:
            raise NetjailError("internal", "the helper's answer came without its descriptors")
        packets, said, leash = fds
        capture = _Capture(packets, said, leash, target, context.output)
        capture.run()
        return Result({"profile": args.profile, "file": args.write, **capture.result()})
    finally:
        target.close()


class _Target:
    """Where the packets go: a file, standard output, or a tcpdump of our own that shows them."""

    def __init__(self, args: Namespace) -> None:
        self.words: BinaryIO | None = None
        self.shown = args.write is None
        self._file = -1
        self._verbose = args.verbose
        if self.shown:
            self._tcpdump = shutil.which("tcpdump", path=f"{os.defpath}:/usr/sbin:/sbin")
            if self._tcpdump is None:
                raise NetjailError(
                    "missing-program",
                    "the program tcpdump is not installed",
                    "install it: sudo apt install tcpdump",
                )
        elif args.write == "-":
            if os.isatty(1):
                raise NetjailError(
                    "usage",
                    "packets are nothing for a terminal",
                    "leave out `-w -` to read them, or send them on: netjail capture -w - ... | "
                    "wireshark -ki -",
                )
            self._file = os.dup(1)
        else:
            self._file = self._open(args.write)

    @staticmethod
    def _open(path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)  # what others send is nobody's to read
        except OSError as error:
            raise NetjailError("system", f"cannot write {path}: {error.strerror}") from None

    def close(self) -> None:
        """All is written."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write(self, data: bytes) -> None:
        """Raises NetjailError."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except BrokenPipeError as error:
            raise OutputLostError(error) from None
        except OSError as error:
            raise NetjailError("system", f"cannot write the packets: {error.strerror}") from None

    def show(self, packets: int) -> subprocess.Popen[bytes]:
        """A tcpdump that prints them, out of reach of a Ctrl-C: it is to show the last ones."""
        assert self._tcpdump is not None
        argv = [self._tcpdump, "-r", "-", "-n", "-l", *["-v"] * min(self._verbose, 3)]
        if os.geteuid() == 0:
            argv = [*_WITHOUT_ROOT, *argv]
        self.words = tempfile.TemporaryFile()  # noqa: SIM115 - read when it has ended
        return subprocess.Popen(argv, stdin=packets, stderr=self.words, start_new_session=True)


_NO_RIGHTS = ("--reuid=nobody", "--regid=65534", "--clear-groups", "--inh-caps=-all")
_WITHOUT_ROOT = ["setpriv", *_NO_RIGHTS, "--bounding-set=-all", "--no-new-privs"]


class _Capture:
    """One capture: its three pipes, from the first word to the counts."""

    def __init__(
        self, packets: int, said: int, leash: int, target: _Target, output: Output
    ) -> None:
        self._packets = packets
        self._said = said
        self._leash = leash
        self._target = target
        self._output = output
        self._stopped = False
        self._text = b""
        self._words: list[str] = []
        self._interface: str | None = None
        self._counts: dict[str, int] = {}
        self._error: NetjailError | None = None

    def run(self) -> None:
        """Until it ends, by itself or by a signal to us. Raises NetjailError."""
        old = {n: signal.signal(n, self._stop) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._run()
        finally:
            self._let_go()
            for number, handler in old.items():
                signal.signal(number, handler)
        self._take_words()
        if self._error is not None:
            raise self._error
        if not self._counts and (self._words or not self._stopped):
            raise _failed(self._words)

    def _run(self) -> None:
        shower = self._target.show(self._packets) if self._target.shown else None
        if shower is not None:
            os.close(self._packets)
            self._packets = -1
        poll = select.poll()
        for fd in (self._said, self._packets):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        open_ = {fd for fd in (self._said, self._packets) if fd >= 0}
        ended = -1 if shower is None else os.pidfd_open(shower.pid)
        if ended >= 0:
            poll.register(ended, select.POLLIN)
        while open_:
            for fd, _ in poll.poll():
                if fd == ended:  # nobody reads any more
                    poll.unregister(fd)
                    self._let_go()
                    continue
                data = os.read(fd, _CHUNK)
                if not data:
                    poll.unregister(fd)
                    open_.discard(fd)
                elif fd == self._said:
                    self._text += data
                    self._take_words()
                else:
                    self._target.write(data)
        if shower is not None and shower.wait() and not self._error:
            self._fail(shower.returncode)

    def _fail(self, status: int) -> None:
        assert self._target.words is not None
        self._target.words.seek(0)
        lines = self._target.words.read().decode(errors="replace").splitlines()
        if -status == signal.SIGPIPE or any("write output" in line for line in lines):
            raise OutputLostError(BrokenPipeError())
        lines = [line for line in lines if not line.startswith("reading from file")]
        if self._counts and lines:
            self._error = _failed(lines)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """tcpdump then writes what it has, says its counts and ends, and with it the pipes."""
        self._stopped = True
        self._let_go()

    def _let_go(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1

    def _take_words(self) -> None:
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            if self._interface is None and text.startswith("{"):
                self._first(json.loads(text))
            elif found := _COUNT.match(text):
                self._counts[found[2]] = int(found[1])
            elif text and not _LISTENING.match(text):
                self._words.append(text)

    def _first(self, said: dict[str, Any]) -> None:
        """What launch.sniffer has to say."""
        if "error" in said:
            self._error = NetjailError.from_dict(said["error"])
            return
        self._interface = str(said["interface"])
        if sys.stderr is not None and not self._output.json and os.isatty(2):
            where = "all interfaces" if self._interface == "any" else self._interface
            self._output.note(f"Listening on {where}. Ctrl-C ends it.")
            self._output.err.flush()

    def result(self) -> dict[str, Any]:
        """Interface and counts."""
        return {
            "interface": self._interface,
            "captured": self._counts.get("captured"),
            "received": self._counts.get("received by filter"),
            "dropped": self._counts.get("dropped by kernel"),
        }


def _failed(words: list[str]) -> NetjailError:
    """What tcpdump says, in one sentence."""
    said = " ".join(word.removeprefix("tcpdump: ") for word in words) or "it ended without a word"
    bad = "syntax error" in said or "parse filter" in said or "expression" in said
    return NetjailError(
        "usage" if bad else "system",
        f"tcpdump does not take the filter: {said}" if bad else f"tcpdump failed: {said}",
        "man 7 pcap-filter says what a filter is: `-- host 10.0.0.1 and port 53`" if bad else None,
    )


def render(data: dict[str, Any], output: Output) -> None:
    """The counts, on stderr: stdout is the packets'."""
    words = [plural(data["captured"] or 0, "packet") + " captured"]
    if data["dropped"]:
        words.append(f"{data['dropped']} lost, because they came faster than they could be read")
    where = f", in {data['file']}" if data["file"] not in (None, "-") else ""
    output.note("; ".join(words) + where)
