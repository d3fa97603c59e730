# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail switch status`: who is on a switch."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, duration, state_text
from netjail.cli.parser import VerbParser, switch_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `switch status`."""
    parser = VerbParser(
        "switch status",
        "[SWITCH]",
        "Shows who is on a switch: ports with their addresses, the MAC table, the host's\n"
        "neighbours on it, leases. Without SWITCH, all that are up.",
        examples=(("netjail switch status lab", ""), ("netjail switch status --json", "")),
    )
    parser.word("switch", nargs="?", metavar="SWITCH", type=switch_name, help="the switch")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{switches: [STATUS]}: the one asked for, or all that are up."""
    wanted = [args.switch]
    if args.switch is None:
        known = context.call("switch.list", "listing the switches")["switches"]
        wanted = [switch["name"] for switch in known if switch["state"] == "up"]
    return Result(
        {
            "switches": [
                context.call("switch.status", f"asking for {name}", switch=name)["switch"]
                for name in wanted
            ]
        }
    )


def render(data: dict[str, Any], output: Output) -> None:
    """A block for each switch."""
    if not data["switches"]:
        output.line("No switch is up. `netjail switch list` shows the switches there are.")
        return
    for number, status in enumerate(data["switches"]):
        if number:
            output.line()
        _switch(status, output)


def _switch(status: dict[str, Any], output: Output) -> None:
    output.line(Text(status["name"], "bold"), ": ", state_text(status["state"]))
    if status["description"]:
        output.paragraph(status["description"], "  ", "dim")
    engine = status["engine"] or "?"
    if status["datapath"]:
        engine += f" ({status['datapath']})"
    host = status["host_interface"] or ("yes" if status["host"] else "no port")
    if status["host_addresses"]:
        host += f", {', '.join(status['host_addresses'])}"
    output.fields(
        [
            ("engine", [engine]),
            ("namespace", [status["netns"]] if status["netns"] else []),
            ("host", [host]),
            ("uplink", [status["uplink"]] if status["uplink"] else []),
            ("isolated", ["yes"] if status["isolated"] else []),
            ("VLAN", [str(status["vlan"])] if status["vlan"] else []),
            ("processes", [f"{p['name']}, PID {p['pid']}" for p in status["processes"]]),
            ("profiles", [", ".join(status["members"])] if not status["ports"] else []),
        ]
    )
    _table(output, "ports", ("PROFILE", "INTERFACE", "MAC", "VLAN", "ADDRESSES"), _ports(status))
    _table(output, "MAC table", ("MAC", "PORT", "VLAN"), _macs(status))
    _table(
        output,
        "leases",
        ("ADDRESS", "NAME", "MAC", "EXPIRES"),
        [_lease(lease, output.now) for lease in status["leases"]],
    )
    _table(
        output,
        "the host's neighbours",
        ("ADDRESS", "MAC", "STATE"),
        [[n["address"], n["lladdr"] or "-", n["state"]] for n in status["neighbours"]],
    )


def _table(output: Output, title: str, head: tuple[str, ...], rows: list[list[object]]) -> None:
    if rows:
        output.line("  ", Text(title, "dim"))
        output.table(head, rows, indent="    ")


def _ports(status: dict[str, Any]) -> list[list[object]]:
    return [
        [
            p["profile"] or Text(p["kind"], "dim"),
            p["interface"] or p["port"],
            p["mac"] or "-",
            p["vlan"] or "-",
            ", ".join(p["addresses"]) or "-",
        ]
        for p in status["ports"]
    ]


def _lease(lease: dict[str, Any], now: float) -> list[object]:
    expires = lease["expires"]
    when = "never" if expires is None else f"in {duration(expires - now)}"
    return [lease["address"], lease["name"] or "-", lease["mac"] or "-", when]


def _macs(status: dict[str, Any]) -> list[list[object]]:
    owner = {p["port"]: p["profile"] or p["kind"] for p in status["ports"]}
    return [[m["mac"], owner.get(m["port"], m["port"]), m["vlan"] or "-"] for m in status["macs"]]
