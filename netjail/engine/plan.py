# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between what stands and what is wanted, as a list of steps. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from netjail.engine import explain
from netjail.uplinks.wanted import Files, Netns, Resource, VpnClient, WireGuardDevice
from netjail.uplinks.wanted_ports import PortSet

_WITH_SECRETS = (WireGuardDevice, VpnClient)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `verb` update: change what stands where it is, as programs use it (the
    jail's files, a WireGuard interface)."""

    verb: Literal["make", "update", "remove"]
    resource: Resource

    def describe(self) -> tuple[str, str | None]:
        """A sentence, and the commands a person would have typed (None: no such command)."""
        return explain.step(self.verb, self.resource)


def difference(
    standing: Sequence[Resource], wanted: Sequence[Resource], missing: Collection[Resource]
) -> list[Step]:
    """Steps that lead from `standing` (as recorded), of which `missing` is gone, to `wanted`.

    Removal comes first, last made first; then making, in the wanted order. The namespace is never
    removed here: programs live in it. Files and ports are updated in place, because programs read
    the ones and are connected by the others.
    """
    keep = {resource for resource in wanted if resource in standing and resource not in missing}
    changed = {_place(r) for r in standing if r not in missing} & {_place(r) for r in wanted}
    changed.discard(None)
    in_place = tuple({PortSet} & {type(resource) for resource in wanted})
    stays = (Netns, Files, *in_place)
    steps = [
        Step("remove", resource)
        for resource in reversed(standing)
        if resource not in keep
        and not isinstance(resource, stays)
        and _place(resource) not in changed
    ]
    had = {type(resource) for resource in standing} & {Files, PortSet}
    for resource in wanted:
        if resource in keep:
            continue
        update = type(resource) in had or _place(resource) in changed
        steps.append(Step("update" if update else "make", resource))
    return steps


def changed_secrets(steps: Sequence[Step], wanted: Collection[Resource]) -> list[Step]:
    """For a profile that has changed. Keys and endpoints are in no record: set anew, all."""
    if any(isinstance(step.resource, _WITH_SECRETS) for step in steps):
        return []
    return [
        Step("update" if isinstance(r, WireGuardDevice) else "make", r)
        for r in wanted
        if isinstance(r, _WITH_SECRETS)
    ]


def _place(resource: Resource) -> tuple[str | None, ...] | None:
    """What stays of a WireGuard interface whose keys, peers and addresses change; None: it is
    none."""
    if not isinstance(resource, WireGuardDevice):
        return None
    return resource.netns, resource.birth, resource.born_as, resource.jail_if, resource.protocol
