# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the bus face: interfaces, paths, and our plain data as D-Bus types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gi.repository import GLib

from netjail import names
from netjail.daemon.bus_adapter import interfaces, plain
from netjail.daemon.state import Entry
from netjail.errors import NetjailError

NO_INTERACTION = "auth.no_user_interaction"
"""The option that every method takes: nobody is to be asked for a password."""
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

_OPTIONS = '<arg name="options" type="a{sv}" direction="in"/>'
_CHANGED = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def _method(name: str, in_: str = "", out: str = "") -> str:
    """`in_` and `out`: "name:type name:type"; every method takes options last."""
    ins = "".join(_arg(each, "in") for each in in_.split())
    outs = "".join(_arg(each, "out") for each in out.split())
    return f'<method name="{name}">{ins}{_OPTIONS}{outs}</method>'


def _arg(text: str, direction: str) -> str:
    name, _, kind = text.partition(":")
    return f'<arg name="{name}" type="{kind}" direction="{direction}"/>'


def _property(name: str, kind: str, changed: str = "true") -> str:
    return (
        f'<property name="{name}" type="{kind}" access="read">'
        f'<annotation name="{_CHANGED}" value="{changed}"/></property>'
    )


MANAGER_XML = f"""<node>
<interface name="{names.BUS_MANAGER}">
{_method("List", "", "profiles:aa{sv}")}
{_method("GetProfile", "name:s", "profile:o")}
{_method("Add", "name:s text:s", "profile:o warnings:as")}
{_method("Validate", "name:s text:s", "warnings:as")}
{_method("Remove", "name:s")}
{_method("Reload")}
{_method("Down", "names:as", "results:aa{sv}")}
{_method("Programs", "", "programs:aa{sv}")}
{_method("Doctor", "", "checks:aa{sv}")}
{_method("Graph", "", "graph:a{sv}")}
{_method("Switches", "", "switches:aa{sv}")}
{_method("SwitchStatus", "name:s", "status:a{sv}")}
{_method("SwitchText", "name:s", "text:s")}
{_method("AddSwitch", "name:s text:s", "warnings:as")}
{_method("ValidateSwitch", "name:s text:s", "warnings:as")}
{_method("RemoveSwitch", "name:s", "members:as")}
{_property("Version", "s", "const")}
{_property("Protocol", "u", "const")}
</interface>
<interface name="{OBJECT_MANAGER}">
<method name="GetManagedObjects">
<arg name="objects" type="a{{oa{{sa{{sv}}}}}}" direction="out"/>
</method>
<signal name="InterfacesAdded">
<arg name="object" type="o"/><arg name="interfaces" type="a{{sa{{sv}}}}"/>
</signal>
<signal name="InterfacesRemoved">
<arg name="object" type="o"/><arg name="interfaces" type="as"/>
</signal>
</interface>
</node>"""
"""Options besides the common one: Add, AddSwitch `replace` b; Remove `down` b; Down `kill` b. No
name given to Down: all that are up. RemoveSwitch gives the profiles that have links to it."""

PROFILE_XML = f"""<node>
<interface name="{names.BUS_PROFILE}">
{_method("Up", "", "result:a{sv}")}
{_method("Down", "", "result:a{sv}")}
{_method("Launch", "argv:as", "pid:u")}
{_method("Check", "", "result:a{sv}")}
{_method("Status", "", "status:a{sv}")}
{_method("Plan", "", "steps:aa{sv}")}
{_method("Logs", "", "lines:aa{sv}")}
{_method("Programs", "", "programs:aa{sv}")}
{_method("Kill", "pids:au signal:u", "signalled:au")}
{_method("Export", "", "text:s")}
{_method("Ports", "", "ports:aa{sv}")}
{_method("AddPort", "way:s protocol:s listen:s to:s", "port:a{sv}")}
{_method("RemovePort", "way:s protocol:s listen:s", "removed:aa{sv}")}
<signal name="Progress"><arg name="text" type="s"/></signal>
{_property("Name", "s", "const")}
{_property("Description", "s")}
{_property("State", "s")}
{_property("Reason", "s")}
{_property("Since", "t")}
{_property("Uplink", "s")}
{_property("Place", "s")}
{_property("Addresses", "as")}
{_property("Dns", "as")}
{_property("Endpoint", "s")}
{_property("LastHandshake", "t", "false")}
{_property("Received", "t", "false")}
{_property("Sent", "t", "false")}
{_property("Apps", "a(uus)", "false")}
{_property("Health", "aa{sv}")}
{_property("LentPort", "q")}
{_property("LentAddress", "s")}
</interface>
</node>"""
"""Options besides the common one: Up `wait` d (seconds for the first handshake),
`credentials` a{ss} (what the error CredentialsNeeded asks for, by a line `NAME: PROMPT` each);
Down `kill` b;
Launch `env` as, `directory` s, `umask` u, `wait` d.
Check `echo` s, `echo_dns` s, `resolver` s (see netjail-check(1); nobody is asked without),
`accept` as, `outside` s (what the caller's own probe said outside), `env` as.
Logs `since` d (unix seconds), `after` t (the `n` of the last line one has), `wait` d (seconds for
the next line, 25 at most); each line has n, time, text and, where it tells of one, state.
AddPort: an empty `to` is the port of `listen`; option `name` s. RemovePort: an empty `way` is
either. LentPort is 0 while the provider lends none.
Progress goes to the caller of a running method alone."""

FLEETING = frozenset({"LastHandshake", "Received", "Sent", "Apps"})
"""Properties that change all the time: read anew when asked for, never announced."""


PROFILE_INTERFACES = interfaces(PROFILE_XML)
_TYPES = {each.name: each.signature for each in PROFILE_INTERFACES[0].properties}


def variants(values: dict[str, Any]) -> dict[str, Any]:
    """Properties of a profile as what a{sv} holds."""
    return {name: GLib.Variant(_TYPES[name], value) for name, value in values.items()}


def entry(name: str, values: dict[str, Any]) -> Any:
    """A profile's entry in the answer of GetManagedObjects."""
    content = GLib.Variant("a{sa{sv}}", {names.BUS_PROFILE: variants(values)})
    return GLib.Variant.new_dict_entry(GLib.Variant("o", path_of(name)), content)


def managed(entries: Iterable[Any]) -> Any:
    """That answer."""
    builder = GLib.VariantBuilder(GLib.VariantType("a{oa{sa{sv}}}"))
    for each in entries:
        builder.add_value(each)
    return GLib.Variant.new_tuple(builder.end())


def path_of(name: str) -> str:
    """The object of a profile. Paths know letters, digits and `_` only."""
    escaped = name.replace("_", "_5f").replace("-", "_2d")
    return f"{names.BUS_PATH}/profile/{escaped}"


def variant(value: Any) -> Any:
    """Plain data as it stands in JSON, as a variant; None has to be left out before."""
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, int):
        return GLib.Variant("x", value) if abs(value) < 1 << 63 else GLib.Variant("d", value)
    if isinstance(value, float):
        return GLib.Variant("d", value)
    if isinstance(value, dict):
        return GLib.Variant("a{sv}", mapping(value))
    if isinstance(value, (list, tuple)):
        if all(isinstance(each, str) for each in value):
            return GLib.Variant("as", [plain(each) for each in value])
        if all(isinstance(each, dict) for each in value):
            return GLib.Variant("aa{sv}", [mapping(each) for each in value])
        return GLib.Variant("av", [variant(each) for each in value if each is not None])
    return GLib.Variant("s", plain(str(value)))


def mapping(data: dict[str, Any]) -> dict[str, Any]:
    """What a{sv} holds, without what is unknown (None)."""
    return {plain(key): variant(value) for key, value in data.items() if value is not None}


def properties(status: dict[str, Any]) -> dict[str, Any]:
    """A STATUS as the properties of its profile. No secret is in either."""
    uplink = status["uplink"]
    handshakes = [peer.get("latest_handshake") or 0 for peer in uplink.get("peers") or ()]
    return {
        "Name": status["name"],
        "Description": plain(status["description"]),
        "State": status["state"],
        "Reason": plain(status["reason"] or ""),
        "Since": _count(status["since"]),
        "Uplink": status["kind"] or "",
        "Place": status.get("place") or "",
        "Addresses": [each["address"] for each in status["addresses"]],
        "Dns": [str(each) for each in (status["dns"] or {}).get("servers") or ()],
        "Endpoint": plain(uplink.get("endpoint") or ""),
        "LastHandshake": _count(max(handshakes, default=0)),
        "Received": _count(status["received"]),
        "Sent": _count(status["sent"]),
        "Apps": [(each["pid"], each["uid"], plain(each["command"])) for each in status["programs"]],
        "Health": _health(status["state"], status["reason"]),
        "LentPort": (status.get("lent") or {}).get("port") or 0,
        "LentAddress": (status.get("lent") or {}).get("address") or "",
    }


def broken(entry: Entry, error: NetjailError) -> dict[str, Any]:
    """The properties of a profile whose file cannot be used, or that cannot be looked at."""
    text = plain("; ".join([error.message, *error.problems]))
    return {
        "Name": entry.name,
        "Description": "",
        "State": entry.state,
        "Reason": plain(entry.reason or text),
        "Since": _count(entry.since),
        "Uplink": "",
        "Place": "",
        "Addresses": [],
        "Dns": [],
        "Endpoint": "",
        "LastHandshake": 0,
        "Received": 0,
        "Sent": 0,
        "Apps": [],
        "LentPort": 0,
        "LentAddress": "",
        "Health": [_item(error.code, "The profile cannot be used", text, "error")],
    }


def own_apps(values: dict[str, Any], uid: int) -> dict[str, Any]:
    """Properties for one user: what others run has no name."""
    if uid == 0 or not values.get("Apps"):
        return values
    apps = [(pid, owner, name if owner == uid else "") for pid, owner, name in values["Apps"]]
    return {**values, "Apps": apps}


def _health(state: str, reason: str | None) -> list[dict[str, Any]]:
    if state == "degraded":
        return [_item("no-answer", "The tunnel does not answer", reason or "", "warning")]
    if state == "failed":
        return [_item("failed", "The jail is not complete", reason or "", "error")]
    return []


def _item(code: str, title: str, text: str, severity: str) -> dict[str, Any]:
    return {
        "code": GLib.Variant("s", code),
        "title": GLib.Variant("s", title),
        "text": GLib.Variant("s", plain(text)),
        "severity": GLib.Variant("s", severity),
    }


def _count(number: Any) -> int:
    return max(0, min(int(number or 0), (1 << 64) - 1))
