# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail demo`: what a profile does, shown and proved on a little internet of our own.

Nothing in it is faked: it runs the same commands a user types, and reads what it shows from the
page, from both resolvers' logs and from a recording of the wire. A claim that does not hold is
shown as such, and then the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

import netjail
from netjail import names
from netjail.demo import stage as places
from netjail.demo.capture import Capture, Packet
from netjail.demo.nodes import wait_until
from netjail.demo.provider import PORT
from netjail.demo.stage import Stage, need_root, require
from netjail.demo.tell import Claim, Teller
from netjail.errors import NetjailError

PROFILE = "demo"
PATIENCE = 2
"""Seconds that curl waits for a page that is not to come."""


def own_command() -> list[str]:
    """How this very netjail is started: the launcher we came from, else Python and our path."""
    program = sys.argv[0]
    if os.path.basename(program) == "netjail" and os.access(program, os.X_OK):
        return [os.path.abspath(program)]
    return [sys.executable, "-m", "netjail"]


def _spoken(error: str) -> str:
    return error.strip().splitlines()[-1] if error.strip() else ""


class Story:
    """The demo on a stage. `command`: how netjail is started."""

    def __init__(self, stage: Stage, tell: Teller, command: Sequence[str], quick: bool) -> None:
        self.stage, self.tell, self.quick = stage, tell, quick
        self.claims: list[Claim] = []
        self._command = list(command)
        package = os.path.dirname(os.path.dirname(os.path.abspath(netjail.__file__)))
        self._env: dict[str, str | None] = {
            "PYTHONPATH": ":".join([package, *(p for p in sys.path if p and p != package)]),
            **{k: v for k, v in os.environ.items() if k.startswith("SUDO_")},
        }
        self.families = [("4", "IPv4"), *([("6", "IPv6")] if stage.ipv6 else [])]
        self.server = stage.providers[0]
        self.endpoint = self.server.wan4

    # -- doing --------------------------------------------------------------------------------

    def netjail(self, *words: str, check: bool = True) -> str:
        """A netjail command at home; its output. Raises NetjailError if `check` and it fails."""
        done = self.stage.home.run([*self._command, *words], env=self._env, cwd="/run")
        if check and done.returncode != 0:
            raise NetjailError(
                "system",
                f"`netjail {' '.join(words)}` ended with status {done.returncode}",
                (done.stderr or done.stdout).strip() or None,
            )
        return done.stdout + done.stderr

    def pages(self, inside: bool, *jobs: tuple[str, str], patience: float = 5) -> list[str]:
        """What each page answers, or "" where it cannot be reached within `patience` seconds.

        jobs: family ("4" or "6") and URL; all are asked at once.
        """
        children = [self._curl(inside, family, url, patience) for family, url in jobs]
        end = time.monotonic() + patience + 0.2  # curl's resolver may keep it well past its limit
        return [self._answer(child, end - time.monotonic()) for child in children]

    def page(self, inside: bool, family: str) -> str:
        """As `pages`, for the one page of the stage."""
        return self.pages(inside, (family, self.stage.web_url))[0]

    def _curl(self, inside: bool, family: str, url: str, patience: float) -> subprocess.Popen[str]:
        curl = ["curl", "-s", f"-{family}", "--max-time", f"{patience:g}", url]
        argv = [*self._command, "run", PROFILE, "--", *curl] if inside else curl
        nothing = subprocess.DEVNULL
        return self.stage.home.popen(
            argv,
            env=self._env,
            cwd="/",
            text=True,
            stdin=nothing,
            stdout=subprocess.PIPE,
            stderr=nothing,
        )

    @staticmethod
    def _answer(child: subprocess.Popen[str], seconds: float) -> str:
        try:
            answer, _ = child.communicate(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired:
            answer = ""
        finally:
            child.kill()
            child.wait()
        return answer.strip() if child.returncode == 0 else ""

    def visit(self, inside: bool) -> tuple[dict[str, str], Capture, dict[str, list[str]]]:
        """Ask the page once per family: its answers, the wire, the questions to each resolver."""
        before = self._seen()
        with self.stage.capture("home") as wire:
            answers = {family: self.page(inside, family) for family, _ in self.families}
            kinds = {"4": "A", "6": "AAAA"}
            self._logged(before, {kinds[family] for family, _ in self.families})
        asked = {who: self.stage.dns_log(who)[count:] for who, count in before.items()}
        return answers, wire, asked

    def _seen(self) -> dict[str, int]:
        """How many questions each resolver has logged so far."""
        return {who: len(self.stage.dns_log(who)) for who in ("isp", "provider")}

    def _logged(self, before: dict[str, int], kinds: set[str]) -> None:
        """Wait until the questions of those types for the page's name are in somebody's log, which
        may lag: else they would be taken for those of what comes next."""

        def there() -> bool:
            found = [q for who, n in before.items() for q in self.stage.dns_queries(who)[n:]]
            return kinds <= {kind for kind, name, _ in found if name == self.stage.web_name}

        wait_until(there, 2)

    def add(self, *claims: Claim) -> None:
        """Remember claims that were shown in another way."""
        self.claims += claims

    def claim(self, key: str, text: str, holds: bool, *details: str) -> None:
        """Remember and show one."""
        claim = Claim(key, text, holds, details=[d for d in details if d])
        self.claims.append(claim)
        self.tell.claim(claim)

    # -- telling ------------------------------------------------------------------------------

    def tell_all(self) -> None:
        """Every part. Raises NetjailError when a command fails outright."""
        stage = self.stage
        self.tell.picture(
            web=stage.web_name,
            web4=places.WEB4,
            home4=places.HOME4,
            resolver=places.RESOLVER4,
            provider=self.server.wan4,
            server="WireGuard" if self.server.kernel else "wireguard-go",
        )
        self.part_import()
        self.part_side_by_side()
        self.part_cut_off()

    def part_import(self) -> None:
        """The provider's file becomes a profile."""
        self.tell.head("1. The provider gave you a file. Import it, and run a program through it")
        path = self.stage.home.path("/run/provider.conf")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(self.stage.provider_conf)
        self.tell.typed(f"netjail import provider.conf --name {PROFILE}")
        self.tell.answered(self.netjail("import", "provider.conf", "--name", PROFILE))
        self.tell.typed(f"netjail run {PROFILE} -- curl {self.stage.web_url}")
        before = self._seen()
        said = self.netjail("run", PROFILE, "--", "curl", "-sS", "-4", self.stage.web_url)
        self._logged(before, {"A"})
        self.tell.answered(said)

    def part_side_by_side(self) -> None:
        """The same request outside and inside, seen from all sides."""
        stage = self.stage
        self.tell.head("2. The same program without and with netjail: what do the others see?")
        self.tell.typed(f"curl {stage.web_url}")
        self.tell.typed(f"netjail run {PROFILE} -- curl {stage.web_url}")
        outside, wire_out, asked_out = self.visit(inside=False)
        inside, wire_in, asked_in = self.visit(inside=True)
        own = {"4": places.HOME4, "6": places.HOME6}
        theirs = {"4": self.server.wan4, "6": self.server.wan6}
        rows = [
            Claim(
                f"address-ipv{family}",
                f"the page sees you as ({name})",
                outside[family] == own[family] and inside[family] == theirs[family],
                outside[family] or "nobody",
                inside[family] or "nobody",
                [f"expected {own[family]} and {theirs[family]}"],
            )
            for family, name in self.families
        ]
        rows += [self._resolver(asked_out, asked_in), self._wire(wire_out, wire_in)]
        rows += [self._plain_text(wire_out, wire_in), self._interfaces()]
        self.tell.table(("without netjail", "with netjail"), rows)
        self.add(*rows)

    def _resolver(self, outside: dict[str, list[str]], inside: dict[str, list[str]]) -> Claim:
        name = self.stage.web_name

        def who(asked: dict[str, list[str]]) -> str:
            seen = [w for w in ("isp", "provider") if name in asked[w]]
            title = {"isp": "your ISP", "provider": "the provider"}
            return " and ".join(title[w] for w in seen) or "nobody"

        return Claim(
            "resolver",
            f"who was asked for {name}",
            who(outside) == "your ISP" and who(inside) == "the provider" and not inside["isp"],
            who(outside),
            who(inside),
            [f"your ISP's resolver was asked for {n} from inside" for n in inside["isp"]],
        )

    def strays(self, packets: Sequence[Packet]) -> list[Packet]:
        """What is neither the tunnel's ciphertext nor machines of one wire finding each other.

        Nor a router's complaint to home that it could not deliver some of the ciphertext, nor the
        helper's question where the provider is: while the tunnel is silent it looks for it anew.
        """
        ours = (self.endpoint, PORT)
        home = {places.HOME4, places.HOME6, places.SECOND4, places.SECOND6}
        return [
            p
            for p in packets
            if not p.neighbourhood
            and p.asked != self.stage.providers[0].endpoint_name
            and not (p.protocol.startswith("icmp") and p.destination in home)
            and not (
                p.protocol == "udp"
                and ours in ((p.source, p.source_port), (p.destination, p.destination_port))
            )
        ]

    def _wire(self, outside: Capture, inside: Capture) -> Claim:
        def words(packets: Sequence[Packet]) -> str:
            packets = [p for p in packets if not p.neighbourhood]
            stray = self.strays(packets)
            if packets and not stray:
                return f"{len(packets)} packets, all UDP with {self.endpoint}:{PORT}"
            dns = sum(53 in (p.source_port, p.destination_port) for p in stray)
            return f"{dns} packets DNS, {len(stray) - dns} HTTP"

        stray = self.strays(inside.packets)
        tunnel = [p for p in inside.packets if not p.neighbourhood]
        return Claim(
            "wire",
            "on your wire",
            bool(self.strays(outside.packets)) and bool(tunnel) and not stray,
            words(outside.packets),
            words(inside.packets),
            [f"left outside of the tunnel: {p}" for p in stray[:5]],
        )

    def _plain_text(self, outside: Capture, inside: Capture) -> Claim:
        name = self.stage.web_name.split(".")[0].encode()  # the same bytes in DNS and HTTP
        words = {True: "yes", False: "no"}
        readable, hidden = name in outside.pcap, name not in inside.pcap
        text = f"{self.stage.web_name} readable on it"
        return Claim("plain-text", text, readable and hidden, words[readable], words[not hidden])

    def _interfaces(self) -> Claim:
        show = ["ip", "-o", "link", "show", "up"]
        out = self.stage.home.run(show, check=True, cwd="/").stdout
        within = self.netjail("run", PROFILE, "--", *show)

        def found(text: str) -> list[str]:
            return [line.split(":")[1].split("@")[0].strip() for line in text.splitlines()]

        ways = [i for i in found(within) if i != "lo"]
        return Claim(
            "interfaces",
            "network interfaces",
            ways == [names.TUNNEL_IF] and "wan0" in found(out),
            " ".join(i for i in found(out)),
            " ".join(found(within)),
            ["the tunnel is to be the only way out"],
        )

    def unreachable(self, key: str) -> None:
        """Inside, neither the page's name nor its address leads to it, and nothing gets out."""
        wires = ["wan0"]
        if "wan1" in os.listdir(self.stage.home.path("/sys/class/net")):
            wires.append("wan1")
        with self.stage.capture("home", interface=wires[-1]) as wire:
            address = {"4": f"http://{places.WEB4}/", "6": f"http://[{places.WEB6}]/"}
            jobs = [(f, u) for f, _ in self.families for u in (self.stage.web_url, address[f])]
            came = [a for a in self.pages(True, *jobs, patience=PATIENCE) if a]
        stray = [str(p) for p in self.strays(wire.packets)]
        self.claim(
            key,
            "inside: the page cannot be reached, and nothing leaves but ciphertext",
            not came and not stray,
            *(f"the page saw {address}" for address in came),
            *(f"left outside of the tunnel: {line}" for line in stray[:5]),
        )

    def leak_check(self) -> None:
        """netjail's own, of what stands now."""
        said = self.netjail("check", PROFILE, "--echo", self.stage.web_url, "--json", check=False)
        try:
            answer = json.loads(said.partition("\n")[0])
            found = answer["result"]["findings"]
        except (ValueError, KeyError):
            self.claim("check", "the leak check looks at everything", False, _spoken(said))
            return
        wrong = [f for f in found if f["level"] in ("warning", "leak")]
        self.claim(
            "check",
            f"{len(found)} things looked at, inside and outside, and nothing leaks",
            bool(found) and answer["result"]["clean"],
            *(f"{f['title']}: {f['text']}" for f in wrong),
        )

    def host_reaches(self, key: str, expected: str, text: str) -> None:
        """Outside of the jail all goes on."""
        seen = self.page(False, "4")
        self.claim(key, text.format(seen or "nobody"), seen == expected, f"expected {expected}")

    def part_cut_off(self) -> None:
        """No tunnel, no way out; whatever the host does."""
        stage, tell = self.stage, self.tell
        theirs = self.server.wan4
        tell.head("3. The provider's line is cut")
        tell.typed(f"netjail run {PROFILE} -- curl --max-time {PATIENCE} {stage.web_url}")
        stage.unplug_provider()
        self.unreachable("cut")
        self.host_reaches("cut-host", places.HOME4, "outside: all as ever, the page sees {}")

        tell.head("4. Home gets a second way out, with a better default route")
        tell.typed("ip route add default via 203.0.113.129 dev wan1 metric 50")
        stage.add_home_uplink()
        self.host_reaches("route-host", places.SECOND4, "outside: used at once, the page sees {}")
        if not self.quick:
            self.unreachable("route-cut")

        tell.head("5. The line is mended")
        stage.plug_provider()
        with stage.capture("home", interface="wan1") as wire:
            seen = self.page(True, "4")
        self.claim(
            "mended",
            f"inside: the page sees {seen or 'nobody'}, by way of the new line",
            seen == theirs and not self.strays(wire.packets) and bool(wire.packets),
            f"expected {theirs}",
            *(f"left outside of the tunnel: {p}" for p in self.strays(wire.packets)[:5]),
        )

        tell.head("6. See for yourself, at any time, whether anything leaks")
        tell.typed(f"netjail check {PROFILE} --echo {stage.web_url}")
        self.leak_check()

        tell.head("7. The provider's WireGuard server is killed")
        stage.cut_provider()
        self.unreachable("killed")
        self.netjail("down", PROFILE)
        left = os.listdir(stage.home.path("/run/netns"))
        self.claim("down", "`netjail down` leaves no namespace behind", not left, *left)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise NetjailError("usage", f"netjail demo: {message}", "netjail demo --help")


def parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    result = _Parser(prog="netjail demo", description="Show and prove what netjail does.")
    result.add_argument("--quick", action="store_true", help="leave out what repeats")
    result.add_argument("--pause", action="store_true", help="wait at the end, to look around")
    result.add_argument("--no-color", action="store_true", help="as NO_COLOR=1")
    result.add_argument("--json", action="store_true", help="only the result, as one line of JSON")
    return result


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(argv: Sequence[str] = (), command: Sequence[str] | None = None) -> int:
    """The verb. 0: every claim holds; 1: one does not; 130: Ctrl-C. Raises NetjailError.

    command: how netjail is started, where it is not this one.
    """
    try:
        args = parser().parse_args(list(argv))
    except NetjailError as error:
        if "--json" not in argv:
            raise
        _print_json([], 0, error)
        return names.EXIT_USAGE
    tell = Teller(color=False if args.no_color else None, quiet=args.json)
    before = signal.signal(signal.SIGTERM, _terminated)
    begin = time.monotonic()
    claims: list[Claim] = []
    try:
        need_root()
        require({**places.PROGRAMS, "tcpdump": "tcpdump", "curl": "curl"})
        tell.say("netjail demo: a VPN profile at work, on a little internet made for it.", "bold")
        tell.say("Your own network, files and profiles are not touched; Ctrl-C ends it all.")
        tell.say()
        with Stage() as stage:
            story = Story(stage, tell, command or own_command(), args.quick)
            claims = story.claims
            story.tell_all()
            seconds = time.monotonic() - begin
            if args.pause:
                _pause(stage, tell)
    except KeyboardInterrupt:
        tell.say()
        tell.say("Stopped; all that was made is gone again.")
        return names.EXIT_INTERRUPTED
    except BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except NetjailError as error:
        if not args.json:
            raise
        _print_json(claims, time.monotonic() - begin, error)
        return names.EXIT_FAILED
    finally:
        signal.signal(signal.SIGTERM, before)
    return _close(claims, seconds, tell, args.json)


def _pause(stage: Stage, tell: Teller) -> None:
    enter = f"nsenter --target {stage.home.pid} --mount --net --pid --uts --root"
    tell.head("Paused. The stage stands; in another terminal, as root:")
    tell.typed(f"{enter} netjail status")
    tell.say("   Press Enter here to end it.")
    sys.stdin.readline()


def _close(claims: list[Claim], seconds: float, tell: Teller, as_json: bool) -> int:
    failed = [c for c in claims if not c.holds]
    if as_json:
        message = f"{len(failed)} of {len(claims)} claims do not hold"
        _print_json(claims, seconds, NetjailError("system", message) if failed else None)
        return names.EXIT_FAILED if failed else 0
    tell.say()
    if failed:
        tell.say(f"{len(failed)} of {len(claims)} claims do not hold.", "bad")
        tell.say("That is a bug of netjail or of its demo: please report it with the above.")
        return names.EXIT_FAILED
    tell.say(f"All {len(claims)} claims hold ({seconds:.1f} s). The stage is gone again.", "good")
    tell.say()
    tell.say("Your turn:")
    tell.typed("sudo netjail import YOUR-PROVIDERS-FILE.conf --name vpn")
    tell.typed("sudo netjail run vpn -- curl https://example.net/")
    tell.typed("sudo netjail check vpn")
    return 0


def _print_json(claims: list[Claim], seconds: float, error: NetjailError | None) -> None:
    result = {
        "seconds": round(seconds, 2),
        "claims": [
            {
                "claim": c.key,
                "holds": c.holds,
                "text": c.text,
                "without": c.without or None,
                "with": c.within or None,
                "details": [] if c.holds else c.details,
            }
            for c in claims
        ],
    }
    envelope: dict[str, object] = {"netjail": names.PROTOCOL, "verb": "demo", "ok": error is None}
    if error is not None:
        envelope["error"] = error.as_dict()
    envelope["result"] = result
    print(json.dumps(envelope), flush=True)
