# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail status`: how the networks are doing."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, ago, duration, plural, size, state_text
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `status`."""
    parser = VerbParser(
        "status",
        "[PROFILE]",
        "Shows how a profile's network is doing: uplink, endpoint, last handshake, traffic,\n"
        "addresses, routes, DNS, neighbours, programs. Without PROFILE, the main lines of\n"
        "all that are up.\n"
        "\n"
        "States: down, starting, up, degraded (up, but the uplink does not answer), stopping,\n"
        "failed. In none of them can a program inside use another way out.",
        examples=(("netjail status vpn", ""), ("netjail status --json", "for scripts")),
    )
    parser.word("profile", nargs="?", metavar="PROFILE", type=profile_name, help="the profile")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profiles: [STATUS]}: the one asked for, or all that are not down."""
    if args.profile is not None:
        answer = context.call("status", "asking for the status", profile=args.profile)
        return Result({"profile": args.profile, "profiles": [answer["profile"]]})
    known = context.call("list", "listing the profiles")["profiles"]
    live = [profile["name"] for profile in known if profile["state"] != "down"]
    return Result(
        {
            "profile": None,
            "profiles": [
                context.call("status", f"asking for the status of {name}", profile=name)["profile"]
                for name in live
            ],
        }
    )


def render(data: dict[str, Any], output: Output) -> None:
    """A block for each profile; in full when one was asked for."""
    if not data["profiles"]:
        output.line("Nothing is up. `netjail list` shows the profiles there are.")
        return
    for number, status in enumerate(data["profiles"]):
        if number:
            output.line()
        head(status, output)
        if data["profile"] is None:
            output.fields(brief(status, output.now))
        else:
            output.fields(full(status, output.now))
            programs(status, output)


def head(status: dict[str, Any], output: Output) -> None:
    """Name, state and since when; what is wrong; the description."""
    parts: list[object] = [Text(status["name"], "bold"), ": ", state_text(status["state"])]
    if status.get("since") is not None and status["state"] != "down":
        parts.append(f" (for {duration(output.now - status['since'])})")
    output.line(*parts)
    if status.get("reason"):
        output.paragraph(status["reason"], "  ", "yellow")
    if status.get("description"):
        output.paragraph(status["description"], "  ", "dim")


def brief(status: dict[str, Any], now: float) -> list[tuple[str, list[object]]]:
    """The main lines."""
    uplink = status.get("uplink") or {}
    count = len(status.get("programs") or ())
    return [
        ("place", [status["place"]] if status.get("place") else []),
        ("uplink", [_uplink(status)]),
        ("endpoint", _endpoints(uplink)),
        ("handshake", _handshakes(status, now)),
        ("traffic", _traffic(status)),
        ("provider's port", _lent(status)),
        ("programs", [str(count)] if count else ["none"]),
    ]


def full(status: dict[str, Any], now: float) -> list[tuple[str, list[object]]]:
    """Everything but the programs, which are a table."""
    uplink = status.get("uplink") or {}
    mtu = status.get("mtu")
    addresses = status.get("addresses") or ()
    width = max((len(str(a["address"])) for a in addresses), default=0)
    return [
        ("place", [status["place"]] if status.get("place") else []),
        ("uplink", [_uplink(status)]),
        ("through", [uplink["through"]] if uplink.get("through") else []),
        ("gateway", list(uplink.get("gateways") or ())),
        ("endpoint", _endpoints(uplink)),
        ("handshake", _handshakes(status, now)),
        ("traffic", _traffic(status)),
        ("MTU", [str(mtu)] if mtu else []),
        (
            "addresses",
            [[f"{a['address']:<{width}}  ", Text(a["interface"], "dim")] for a in addresses],
        ),
        ("links", _links(status)),
        ("lease", _leases(status, now)),
        ("gives", _given(status, now)),
        ("ports", _ports(status)),
        ("provider's port", _lent(status)),
        ("routes", list(status.get("routes") or ())),
        ("DNS", _dns(status.get("dns") or {})),
        ("neighbours", _neighbours(status)),
        ("namespace", [status["netns"]] if status.get("netns") else []),
        (
            "processes",
            [f"{p['name']}, PID {p['pid']}" for p in status.get("processes") or ()],
        ),
        ("programs", ["none"] if status["state"] != "down" and not status.get("programs") else []),
    ]


def programs(status: dict[str, Any], output: Output) -> None:
    """The table of programs inside."""
    inside = status.get("programs") or ()
    if not inside:
        return
    from netjail.cli.ps import program_row

    output.line("  ", Text(plural(len(inside), "program"), "dim"))
    rows = [program_row(program, output.now) for program in inside]
    output.table(("PID", "USER", "STARTED", "COMMAND"), rows, right=(0,), indent="    ")


def _uplink(status: dict[str, Any]) -> str:
    uplink = status.get("uplink") or {}
    kind = str(status.get("kind") or "?")
    if kind == "none":
        return "none (loopback only)"
    parts = [kind]
    if kind in ("wireguard", "amneziawg") and uplink.get("implementation"):
        parts[0] += f" ({uplink['implementation']})"
    if uplink.get("interface") and status.get("state") != "down":
        parts.append(f"as {uplink['interface']}")
    if uplink.get("host_interface"):
        parts.append(f"to {uplink['host_interface']} on the host")
    if uplink.get("way_out"):
        parts.append(f"and out by {uplink['way_out']}")
    return " ".join(parts)


def _endpoints(uplink: dict[str, Any]) -> list[object]:
    peers = uplink.get("peers") or ()
    listed = [peer["endpoint"] for peer in peers if peer.get("endpoint")]
    named = uplink.get("endpoint")
    if not listed:
        return [named] if named else []
    if len(listed) == 1 and named and named != listed[0]:
        return [f"{named} ({listed[0]})"]
    return listed


def _handshakes(status: dict[str, Any], now: float) -> list[object]:
    peers = (status.get("uplink") or {}).get("peers") or ()
    several = len(peers) > 1
    if status.get("state") == "down":
        return []
    lines: list[object] = []
    for peer in peers:
        when = peer.get("latest_handshake")
        text = ago(when, now) if when else Text("none yet", "yellow")
        lines.append([text, f" (peer {peer['public_key'][:8]}...)"] if several else text)
    return lines


def _traffic(status: dict[str, Any]) -> list[object]:
    received, sent = status.get("received"), status.get("sent")
    if received is None or sent is None or status.get("state") == "down":
        return []
    return [f"{size(received)} received, {size(sent)} sent"]


def _leases(status: dict[str, Any], now: float) -> list[object]:
    """A line for each DHCP client, and for each thing that its server said and nobody took."""
    lines: list[object] = []
    for lease in status.get("leases") or ():
        if lease.get("address"):
            until = lease.get("expires")
            lasts = f"for {duration(max(0, until - now))}" if until else "for ever"
            server = f" from {lease['server']}" if lease.get("server") else ""
            lines.append([f"{lease['address']}{server} {lasts} ", Text(lease["interface"], "dim")])
        else:
            lines.append([Text("none yet ", "yellow"), Text(lease["interface"], "dim")])
        if lease.get("refused"):
            lines.append(f"refused: {lease['refused']}")
        lines += [f"left out: {text}" for text in lease.get("left_out") or ()]
    return lines


def _given(status: dict[str, Any], now: float) -> list[object]:
    """A line for each lease that its DHCP server has given."""
    lines: list[object] = []
    for lease in status.get("given") or ():
        until = lease.get("expires")
        lasts = f"for {duration(max(0, until - now))}" if until else "for ever"
        whom = lease.get("profile") or lease.get("name") or "somebody"
        tail = " ".join(filter(None, (lease.get("mac"), lease["interface"])))
        lines.append([f"{lease['address']} to {whom} {lasts} ", Text(tail, "dim")])
    return lines


def _dns(dns: dict[str, Any]) -> list[object]:
    if not dns:
        return []
    source = {
        "uplink": "from the uplink",
        "static": "from the profile",
        "host": "the host's",
    }.get(str(dns.get("mode")), "")
    servers = ", ".join(map(str, dns.get("servers") or ()))
    lines: list[object] = [[servers, Text(f" ({source})", "dim")] if servers else "no servers"]
    if dns.get("search"):
        lines.append("search " + " ".join(map(str, dns["search"])))
    return lines


def _links(status: dict[str, Any]) -> list[object]:
    lines: list[object] = []
    for link in status.get("links") or ():
        where = f"switch {link['switch']}" if link.get("switch") else f"profile {link['peer']}"
        text = f"{link['interface']} to {where} "
        if link["up"]:
            lines.append([text, Text(link.get("mac") or "", "dim")])
        elif status.get("state") == "down":
            lines.append(text)
        else:
            why = "not connected" if link.get("switch") else f"while {link['peer']} is up"
            lines.append([text, Text(f"({why})", "yellow")])
    return lines


def _ports(status: dict[str, Any]) -> list[object]:
    lines: list[object] = []
    for port in status.get("ports") or ():
        sides = ("host", "inside") if port["way"] == "forward" else ("inside", "host")
        text = f"{port['protocol']} {port['listen']} ({sides[0]}) to {port['to']} ({sides[1]}) "
        lines.append([text, Text(port["name"], "dim")])
    return lines


def _lent(status: dict[str, Any]) -> list[object]:
    lent = status.get("lent")
    if not lent:
        return []
    if lent["port"] is None:
        return [Text(f"none: {lent['text']}", "yellow")]
    only = "" if len(lent["protocols"]) > 1 else f" ({lent['protocols'][0]} only)"
    to = "" if lent["internal"] == lent["port"] else f" to {lent['internal']} inside"
    where = f" of {lent['address']}" if lent["address"] else ""
    tail = f"  by {lent['spoken']} from {lent['gateway']}"
    return [[Text(str(lent["port"]), "bold"), f"{where}{to}{only}", Text(tail, "dim")]]


def _neighbours(status: dict[str, Any]) -> list[object]:
    lines: list[object] = []
    for neighbour in status.get("neighbours") or ():
        state = neighbour.get("state")
        words = [str(neighbour["address"]), str(neighbour.get("lladdr") or "(no answer)")]
        tail = " ".join(map(str, filter(None, (neighbour.get("interface"), state))))
        lines.append([" ".join(words) + " ", Text(tail, "dim")])
    return lines
