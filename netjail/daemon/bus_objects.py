# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of the bus face: each method of the bus as a request to the manager."""

from __future__ import annotations

from typing import Any

from gi.repository import GLib

import netjail
from netjail import names
from netjail.daemon.bus_adapter import PROPERTIES, Reply, plain
from netjail.daemon.bus_words import OBJECT_MANAGER, mapping, path_of, variant
from netjail.daemon.call import Result
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netjail.daemon.bus import BusFace, Options, Then


class ManagerObject:
    def __init__(self, face: BusFace) -> None:
        self._face = face

    def answer(
        self, sender: str, interface: str, member: str, arguments: tuple[Any, ...], reply: Reply
    ) -> None:
        if interface == PROPERTIES:
            self._property(member, arguments, reply)
        elif interface == OBJECT_MANAGER:
            self._face.managed(sender, reply)
        else:
            *own, options = arguments
            getattr(self, "_" + member)(sender, reply, options, *own)

    def _property(self, member: str, arguments: tuple[Any, ...], reply: Reply) -> None:
        values = {
            "Version": variant(netjail.__version__),
            "Protocol": GLib.Variant("u", names.PROTOCOL),
        }
        here = values if arguments[0] == names.BUS_MANAGER else {}
        if member == "GetAll":
            reply.value(here)
        elif member == "Get" and arguments[1] in here:
            reply.value(here[arguments[1]])
        else:
            raise NetjailError("bad-request", "There is no such property, or it is read-only.")

    def _List(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "list", "profiles")

    def _Programs(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "ps", "programs")

    def _Doctor(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "doctor", "checks")

    def _rows(self, sender: str, reply: Reply, options: Options, method: str, key: str) -> None:
        def then(result: Result) -> None:
            self._face.rows(reply, result[key])

        self._face.ask(sender, method, {}, options, reply, then)

    def _GetProfile(self, sender: str, reply: Reply, options: Options, name: str) -> None:
        def then(_result: Result) -> None:
            self._face.look_then([name], lambda: reply.value(path_of(name)))

        self._face.ask(sender, "status", {"profile": name}, options, reply, then)

    def _Add(self, sender: str, reply: Reply, options: Options, name: str, text: str) -> None:
        def then(result: Result) -> None:
            warnings = [plain(each) for each in result["warnings"]]
            self._face.look_then([name], lambda: reply.value(path_of(name), warnings))

        params = {"name": name, "text": text}
        self._face.ask(sender, "profile.add", params, options, reply, then)

    def _Validate(self, sender: str, reply: Reply, options: Options, name: str, text: str) -> None:
        def then(result: Result) -> None:
            reply.value([plain(each) for each in result["warnings"]])

        params = {"name": name, "text": text}
        self._face.ask(sender, "profile.check", params, options, reply, then)

    def _Remove(self, sender: str, reply: Reply, options: Options, name: str) -> None:
        def then(_result: Result) -> None:
            self._face.look_then([name], reply.value)

        self._face.ask(sender, "profile.remove", {"name": name}, options, reply, then)

    def _Reload(self, sender: str, reply: Reply, options: Options) -> None:
        # A request like any other, so that limits and options hold; `list` reads all there is.
        def then(_result: Result) -> None:
            self._face.look_then(None, reply.value)

        self._face.ask(sender, "list", {}, options, reply, then)

    def _Down(self, sender: str, reply: Reply, options: Options, wanted: list[str]) -> None:
        def then(result: Result) -> None:
            rows = result["results"]
            changed = [row["profile"] for row in rows if row["changed"]]
            self._face.look_then(changed, lambda: reply.value([mapping(row) for row in rows]))

        self._face.ask(sender, "down", {"profiles": wanted or None}, options, reply, then)

    def _Graph(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            reply.value(mapping(result))

        self._face.ask(sender, "graph", {}, options, reply, then)

    # Switches have no objects: who waits for their changes watches the profiles on them.

    def _Switches(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "switch.list", "switches")

    def _SwitchStatus(self, sender: str, reply: Reply, options: Options, name: str) -> None:
        def then(result: Result) -> None:
            reply.value(mapping(result["switch"]))

        self._face.ask(sender, "switch.status", {"switch": name}, options, reply, then)

    def _SwitchText(self, sender: str, reply: Reply, options: Options, name: str) -> None:
        def then(result: Result) -> None:
            reply.value(plain(result["text"]))

        self._face.ask(sender, "switch.get", {"name": name}, options, reply, then)

    def _AddSwitch(self, sender: str, reply: Reply, options: Options, name: str, text: str) -> None:
        params = {"name": name, "text": text}
        self._texts(sender, reply, options, "switch.add", "warnings", params)

    def _ValidateSwitch(
        self, sender: str, reply: Reply, options: Options, name: str, text: str
    ) -> None:
        params = {"name": name, "text": text}
        self._texts(sender, reply, options, "switch.check", "warnings", params)

    def _RemoveSwitch(self, sender: str, reply: Reply, options: Options, name: str) -> None:
        self._texts(sender, reply, options, "switch.remove", "members", {"name": name})

    def _texts(  # noqa: PLR0917
        self,
        sender: str,
        reply: Reply,
        options: Options,
        method: str,
        key: str,
        params: dict[str, str],
    ) -> None:
        def then(result: Result) -> None:
            reply.value([plain(each) for each in result[key]])

        self._face.ask(sender, method, params, options, reply, then)


class ProfileObject:
    def __init__(self, face: BusFace, name: str) -> None:
        self._face = face
        self._name = name

    def answer(
        self, sender: str, interface: str, member: str, arguments: tuple[Any, ...], reply: Reply
    ) -> None:
        if interface != PROPERTIES:
            *own, options = arguments
            getattr(self, "_" + member)(sender, reply, options, *own)
        elif member == "Set":
            raise NetjailError("bad-request", "The properties are read-only.")
        elif arguments[0] == names.BUS_PROFILE:
            wanted = arguments[1] if member == "Get" else None
            self._face.get(sender, self._name, wanted, reply)
        else:
            raise NetjailError("bad-request", "There is no such interface.")

    def _ask(
        self, sender: str, reply: Reply, options: Options, method: str, then: Then, **params: Any
    ) -> None:
        path = path_of(self._name)
        self._face.ask(sender, method, params, options, reply, then, path)

    def _Up(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            # The properties have changed before the caller goes on.
            self._face.look_then([self._name], lambda: reply.value(mapping(result)))

        self._ask(sender, reply, options, "up", then, profile=self._name)

    def _Down(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            row = result["results"][0]
            if row["errors"]:
                raise NetjailError.from_dict(row["errors"][0])
            self._face.look_then([self._name], lambda: reply.value(mapping(row)))

        self._ask(sender, reply, options, "down", then, profiles=[self._name])

    def _Launch(self, sender: str, reply: Reply, options: Options, argv: list[str]) -> None:
        """Without a terminal. Of what the options do not say (env, umask, directory), the calling
        process's own is taken, but for the directory, which is / then."""

        def then(result: Result) -> None:
            reply.value(result["pid"])

        self._ask(sender, reply, options, "launch", then, profile=self._name, argv=argv)

    def _Check(self, sender: str, reply: Reply, options: Options) -> None:
        """Of the options, `outside` is what the caller's own probe has said (netjail.leaks)."""

        def then(result: Result) -> None:
            reply.value(mapping(result))

        self._ask(sender, reply, options, "check", then, profile=self._name)

    def _Status(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            reply.value(mapping(result["profile"]))

        self._ask(sender, reply, options, "status", then, profile=self._name)

    def _Logs(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "logs", "lines")

    def _Plan(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "plan", "steps")

    def _Programs(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "ps", "programs")

    def _rows(self, sender: str, reply: Reply, options: Options, method: str, key: str) -> None:
        def then(result: Result) -> None:
            self._face.rows(reply, result[key])

        self._ask(sender, reply, options, method, then, profile=self._name)

    def _Kill(
        self, sender: str, reply: Reply, options: Options, pids: list[int], signal: int
    ) -> None:
        def then(result: Result) -> None:
            reply.value(result["signalled"])

        params = {"profile": self._name, "pids": pids or None, "signal": signal}
        self._ask(sender, reply, options, "kill", then, **params)

    def _Export(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            reply.value(plain(result["text"]))

        self._ask(sender, reply, options, "profile.get", then, name=self._name)

    def _Ports(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            self._face.rows(reply, result["ports"])

        self._ask(sender, reply, options, "port.list", then, profile=self._name)

    def _AddPort(  # noqa: PLR0917 - as on the bus
        self,
        sender: str,
        reply: Reply,
        options: Options,
        way: str,
        protocol: str,
        listen: str,
        to: str,
    ) -> None:
        def then(result: Result) -> None:
            reply.value(mapping(result["port"]))

        params = {"way": way, "protocol": protocol, "listen": listen, "to": to or None}
        self._ask(sender, reply, options, "port.add", then, profile=self._name, **params)

    def _RemovePort(  # noqa: PLR0917
        self, sender: str, reply: Reply, options: Options, way: str, protocol: str, listen: str
    ) -> None:
        def then(result: Result) -> None:
            self._face.rows(reply, result["removed"])

        params = {"way": way or None, "protocol": protocol, "listen": listen}
        self._ask(sender, reply, options, "port.remove", then, profile=self._name, **params)
