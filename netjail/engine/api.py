# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: brings jails up and down and says how they are. Blocking; for worker threads.

The caller sees to it that one profile has one operation at a time; different profiles may go on
side by side. Everything is validated before the first change; a step that fails undoes the ones
before it; the record on disk lets a later helper finish or undo what a killed one began.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netjail import names
from netjail.engine import (
    clients,
    conflicts,
    doors,
    drivers,
    files,
    following,
    gate,
    ns,
    plan,
    programs,
    record,
    status,
    switchstatus,
    view,
)
from netjail.engine.answers import Answers
from netjail.engine.clientanswers import ClientAnswers
from netjail.engine.context import Context
from netjail.engine.hostfacts import HostFacts, Subnets
from netjail.engine.hostnet import HostNet
from netjail.engine.nft import Nft
from netjail.engine.outcome import as_netjail_error, digest_of
from netjail.engine.process import Process
from netjail.engine.programs import Program
from netjail.engine.record import Record, Records
from netjail.engine.switches import Switches, switches_of
from netjail.engine.tunnels import Tunnels
from netjail.errors import NetjailError
from netjail.profile.model import Profile
from netjail.uplinks import registry
from netjail.uplinks.facts import Subnet
from netjail.uplinks.login import Login
from netjail.uplinks.wanted import Netns, Resource, VethPair, VpnClient
from netjail.uplinks.wanted_lan import AdoptedNetns

if TYPE_CHECKING:
    from netjail.leaks.model import Facts

Progress = Callable[[str], None]

observer: Callable[[str, int, Resource | None], None] | None = None
"""For tests: called as (phase, step number, resource) after every step that changed something."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A jail that stood when the helper started. `state`: "up"; "failed": to be repaired; "stuck":
    it was to go, and something is left."""

    name: str
    state: str
    reason: str | None
    processes: list[Process]
    stop: str
    since: float
    through: str | None


@dataclass(frozen=True, slots=True)
class Up:
    """`changed`: something had to be done. `processes`: those that serve the jail now."""

    changed: bool
    processes: list[Process]


def _silent(_text: str) -> None:
    pass


class Engine(Answers):
    """One per helper. Must be made in the host's network and mount namespace."""

    def __init__(self) -> None:
        super().__init__()
        self._host = HostNet(Nft())
        self._subnets = Subnets()
        self._records = Records()
        self._switches = Switches(self._records, self._host)
        self._switches.changed = self._notify
        self._held: dict[str, int] = {}
        self.tunnels = Tunnels()
        self._clients = ClientAnswers(self._records, self.tunnels)

    # -- start of the helper ---------------------------------------------------------------------

    def start(self) -> list[Adopted]:
        """Adopt the jails that stand; finish or undo what a killed helper left half done."""
        adopted = []
        for name in self._records.adopt():
            self._records.forget(name)
        self._switches.read()
        for found in self._records.all():  # all, before the first is undone: they share the table
            self._host.adopt(list(found.resources))
            self._hold_subnet(found)
            self._hold_namespace(found)
        for found in self._records.all():
            if self._stands(found):
                adopted.append(self._adopt(self._records.get(found.profile) or found))
            elif errors := self._undo_all(found, _silent):
                adopted.append(_adopted(found, "stuck", f"could not be undone: {errors[0]}"))
        for error in self._switches.sweep():
            print(f"netjaild: {error}", file=sys.stderr)
        self._host.refresh()
        if adopted:
            doors.hold()
        doors.release(lambda: bool(self._records.all()))
        files.sweep(names.RUN_DIR)
        return adopted

    def _stands(self, found: Record) -> bool:
        """Whether a jail was up and is to stay so. It is opened again where a helper was killed
        while it ended the programs inside, and some are left."""
        if found.state not in (record.STARTING, record.UP):
            return False
        if gate.is_open(found.profile):
            if found.state == record.STARTING:
                self._records.save(replace(found, state=record.UP))
            return True
        if found.state == record.STARTING or not self.programs([found.profile]):
            return False
        self._finish(self._context(found, _silent))
        return True

    def _adopt(self, found: Record) -> Adopted:
        clients.adopt(self._context(found, _silent))
        self.lent_anew(found.profile)  # which is no news
        missing = self._missing(found)
        reason = None
        if missing:
            what = plan.Step("make", missing[0]).describe()[0]
            reason = f"incomplete after a restart of the helper: it needs to {what}"
        adopted = _adopted(found, "failed" if missing else "up", reason)
        return replace(adopted, processes=self._processes(found))

    def _processes(self, found: Record) -> list[Process]:
        """All that serves a jail, its switches included."""
        every = (*found.processes, *self._switches.processes(found.resources))
        return [process for process in every if process.alive()]

    def _hold_subnet(self, found: Record) -> None:
        pair = found.find(VethPair)
        if pair is not None:
            self._subnets.hold(found.profile, pair.gateways[0])

    def write_again(self) -> None:
        """Somebody has deleted our directory: put back what memory holds of it. What a jail has
        there besides is put back by its next `up`."""
        for found in self._records.all():
            self._records.save(found)
        self._switches.write_again()
        self._host.write_again()
        doors.mark_again()

    def known(self) -> list[str]:
        """Names of the jails that have a record."""
        return self._records.names()

    # -- up --------------------------------------------------------------------------------------

    def up(self, profile: Profile, progress: Progress = _silent, login: Login | None = None) -> Up:
        """Bring a jail up, or mend one that is up: whatever is missing or differs is replaced,
        the namespace and the programs in it stay. Raises NetjailError, having undone its steps.

        `login`: what a user has answered; credentials-needed says that somebody must be asked.
        """
        with self.tunnels.busy(profile.name):
            if login is not None:
                self.tunnels.offer(profile.name, login)
            try:
                return self._up(profile, progress, login)
            except BaseException:
                if self._records.get(profile.name) is None:
                    self.tunnels.forget(profile.name)
                raise

    def _up(self, profile: Profile, progress: Progress, login: Login | None) -> Up:
        found = self._records.get(profile.name)
        if found is not None and found.state != record.UP:
            self._undo_or_raise(found, progress)
            found = None
        digest = digest_of(profile)
        if found is None:
            return self._bring_up(profile, digest, progress)
        repaired = self._switches.repair(found.resources, progress)
        missing = self._missing(found)
        if not missing and gate.is_open(profile.name) and found.digest == digest:
            wanted = found.resources
            fresh = None
            if profile.links or found.find(VpnClient) is not None:
                fresh = self._wanted(profile, progress, _subnet_of(found), found)
            if not profile.links or fresh == wanted:
                nudged = self.tunnels.nudge(fresh or (), login)
                return Up(repaired or nudged, self._processes(found))
        if any(isinstance(resource, AdoptedNetns) for resource in missing):
            raise following.gone(found.netns, profile.name)
        if any(isinstance(resource, Netns) for resource in missing):
            # somebody deleted its name; what runs in it goes on, if we hold the namespace itself
            held = self._held.get(profile.name)
            if held is None:
                self._undo_or_raise(found, progress)
                return self._bring_up(profile, digest, progress)
            conflicts.check_name(profile.name)
            ns.name_again(names.netns_name(profile.name), held)
            missing = self._missing(found)
        return self._mend(profile, digest, found, missing, progress)

    def _undo_or_raise(self, found: Record, progress: Progress) -> None:
        for error in self._undo_all(found, progress):
            raise error

    def _bring_up(self, profile: Profile, digest: str, progress: Progress) -> Up:
        wanted = self._wanted(profile, progress, None)
        conflicts.check(profile.name, wanted, self._records)
        self.tunnels.require(wanted)
        context = self._context(_record(profile, digest, wanted), progress)
        done: list[Resource] = []
        try:
            conflicts.claim(profile.name, wanted, self._records)
            self._records.save(context.record)
            self._notify("record", 0, None)
            for number, resource in enumerate(wanted, 1):
                done.append(resource)
                drivers.of(resource).apply(resource, context)
                self._notify("up", number, resource)
            self._finish(context)
        except BaseException as error:
            gate.shut(profile.name)
            if not self._undo(reversed(done), context, "undo"):
                self._forget(profile.name)
                self._switches.sweep()
            raise as_netjail_error(error) from error
        return Up(True, self._processes(context.record))

    def _mend(
        self,
        profile: Profile,
        digest: str,
        found: Record,
        missing: Collection[Resource],
        progress: Progress,
    ) -> Up:
        wanted = self._wanted(profile, progress, _subnet_of(found), found)
        conflicts.claim(profile.name, wanted, self._records)
        steps = plan.difference(found.resources, wanted, missing)
        if found.digest != digest:
            steps += plan.changed_secrets(steps, wanted)
        self.tunnels.require([step.resource for step in steps if step.verb == "make"])
        context = self._context(found, progress)
        # until all is done the record also holds what is to go, and the next up goes on with it
        context.record = replace(
            _record(profile, "", wanted),
            processes=found.processes,
            since=found.since,
            state=record.UP,
            namespace=found.namespace,
            resources=(*wanted, *(r for r in found.resources if r not in wanted)),
        )
        self._records.save(context.record)
        try:
            for number, step in enumerate(steps, 1):
                context.again = step.resource in wanted
                drivers.of(step.resource).does(step.verb)(step.resource, context)
                self._notify("mend", number, step.resource)
            context.record = replace(context.record, resources=wanted, digest=digest)
            self._finish(context)
        except BaseException as error:
            raise as_netjail_error(error) from error
        self._switches.sweep()
        return Up(True, self._processes(context.record))

    def _wanted(
        self,
        profile: Profile,
        progress: Progress,
        subnet: Subnet | None,
        standing: Record | None = None,
    ) -> tuple[Resource, ...]:
        facts = HostFacts(
            self._subnets,
            progress,
            subnet,
            records=self._records,
            standing=standing,
            on_host=self._switches.on_host,
        )
        return registry.describe(profile, facts)

    def _finish(self, context: Context) -> None:
        """The last steps: from here on the jail may be entered."""
        identity = ns.identity(ns.path_of(context.record.netns))
        assert identity is not None
        context.record = replace(context.record, namespace=identity, state=record.UP)
        gate.open_(context.record.profile, view.enter_text(context.record, identity))
        self._notify("enter", 0, None)
        self._records.save(context.record)
        self._hold_namespace(context.record)

    def _hold_namespace(self, found: Record) -> None:
        """Keep a descriptor of a jail's namespace. As long as it is open the number of its inode,
        by which we tell who is inside, is given to no other; and its name can be made again."""
        if found.profile in self._held or found.namespace is None:
            return
        try:
            fd = ns.open_named(found.netns)
        except NetjailError:
            return
        if ns.identity_of(fd) == found.namespace:
            self._held[found.profile] = fd
        else:
            os.close(fd)

    def _forget(self, name: str) -> None:
        """Nothing of the jail is left but its record."""
        self._records.forget(name)
        self._subnets.release(name)
        self._forget_answers(name)
        held = self._held.pop(name, None)
        if held is not None:
            os.close(held)
        doors.release(lambda: bool(self._records.all()))

    # -- down ------------------------------------------------------------------------------------

    def close(self, name: str, force: bool = False) -> list[int]:
        """Shut the door: nobody can enter any more, unless programs are inside and not `force`.

        Gives the pids of the programs inside. Waits for launches that are just entering.
        """
        with gate.locked(name) as is_open:
            inside = [p.pid for p in self.programs([name])]
            if is_open and (force or not inside):
                gate.shut(name)
            return inside

    def down(self, name: str, progress: Progress = _silent) -> list[NetjailError]:
        """Take a jail away. Idempotent; goes on past errors and gives them all."""
        with self.tunnels.busy(name):
            found = self._records.get(name)
            gate.shut(name)
            if found is None:
                self._forget(name)
                return []
            return self._undo_all(found, progress)

    def _undo_all(self, found: Record, progress: Progress) -> list[NetjailError]:
        context = self._context(replace(found, state=record.STOPPING), progress)
        context.whole = True
        try:
            self._records.save(context.record)
        except NetjailError:  # a full disk must not keep a jail alive
            pass
        self._notify("stopping", 0, None)
        errors = self._undo(reversed(found.resources), context, "down")
        if not errors:
            self._forget(found.profile)
            errors += self._switches.sweep()
        return errors

    def _undo(
        self, resources: Iterable[Resource], context: Context, phase: str
    ) -> list[NetjailError]:
        errors = []
        for number, resource in enumerate(resources, 1):
            try:
                drivers.of(resource).undo(resource, context)
                self._notify(phase, number, resource)
            except Exception as error:  # whatever it is, the rest must go
                errors.append(as_netjail_error(error))
        return errors

    # -- plan and status -------------------------------------------------------------------------

    def plan(self, profile: Profile, progress: Progress = _silent) -> list[plan.Step]:
        """What `up` would do now. Touches nothing. Raises NetjailError as `up` would."""
        found = self._records.get(profile.name)
        standing: tuple[Resource, ...] = ()
        missing: Collection[Resource] = ()
        held = self._subnets
        if found is not None and found.state == record.UP:
            standing, missing = found.resources, self._missing(found)
        facts = HostFacts(
            held.looked_at() if not standing else held,
            progress,
            _subnet_of(found) if standing else None,
            records=self._records,
            standing=found if standing else None,
            on_host=self._switches.on_host,
        )
        wanted = registry.describe(profile, facts)
        if not standing:
            conflicts.check(profile.name, wanted, self._records)
        steps = [s for name in switches_of(wanted) for s in self._switches.check(name)]
        return steps + plan.difference(standing, wanted, missing)

    def _missing(self, found: Record) -> list[Resource]:
        context = self._context(found, _silent)
        return [r for r in found.resources if not drivers.of(r).present(r, context)]

    def status(self, name: str, profile: Profile | None = None) -> dict[str, object]:
        """The live part of a profile's status; without one that is up only what is configured."""
        return status.read(self._records.get(name), profile, self._records)

    def leak_facts(self, name: str, profile: Profile | None = None) -> Facts:
        """What only root sees of a jail, for the leak check. Raises NetjailError("not-up")."""
        from netjail.engine import leakfacts

        found = self._records.get(name)
        seen = (self._missing(found) if found else ()), self.programs([name]), self._host.whole()
        return leakfacts.read(name, found, profile, seen)

    def programs(self, names_: Collection[str] | None = None) -> list[Program]:
        """Programs inside the jails of these profiles (None: of all)."""
        known = self._records.all()
        wanted = known if names_ is None else [r for r in known if r.profile in names_]
        # without a hold on it the number of a namespace may be another's by now
        return programs.inside([r for r in wanted if r.profile in self._held], known)

    def switches(self) -> list[str]:
        """Names of the switches that are up."""
        return self._switches.names()

    def switch_status(self, name: str) -> dict[str, Any] | None:
        """The live part of a switch's status; None: it is not up."""
        found = self._switches.get(name)
        if found is None or found.state != record.UP:
            return None
        return switchstatus.read(found, self._switches.users(name), self._switches.leases(name))

    def host_changed(self) -> None:
        """The host's addresses, routes or rules changed: follow in what depends on them."""
        self._host.refresh()

    # -- helpers ---------------------------------------------------------------------------------

    def _context(self, found: Record, progress: Progress) -> Context:
        return Context(
            record=found,
            records=self._records,
            host=self._host,
            progress=progress,
            switches=self._switches,
            tunnels=self.tunnels,
        )

    def _notify(self, phase: str, number: int, resource: Resource | None) -> None:
        if observer is not None:
            observer(phase, number, resource)


def _adopted(found: Record, state: str, reason: str | None) -> Adopted:
    return Adopted(
        name=found.profile,
        state=state,
        reason=reason,
        processes=[p for p in found.processes if p.alive()],
        stop=found.stop,
        since=found.since,
        through=found.through,
    )


def _record(profile: Profile, digest: str, wanted: tuple[Resource, ...]) -> Record:
    return Record(
        profile=profile.name,
        state=record.STARTING,
        stop=profile.stop,
        kind=profile.uplink.kind,
        through=profile.through,
        resources=wanted,
        digest=digest,
        filtered=profile.isolation.dbus,
    )


def _subnet_of(found: Record | None) -> Subnet | None:
    pair = None if found is None else found.find(VethPair)
    if pair is None:
        return None
    return Subnet(pair.host_addresses, pair.jail_addresses, pair.gateways)
