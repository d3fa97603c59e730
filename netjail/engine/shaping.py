# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that are worse than they are: tc-netem(8) and tc-tbf(8) on both ends of a cable or port.

What an end sends is shaped, so with one at either end each direction is shaped once. A root
queueing discipline goes with its interface: there is nothing to undo.
"""

from __future__ import annotations

from netjail.engine import process
from netjail.errors import NetjailError
from netjail.uplinks.wanted_links import Shaped

_QUEUE = 1000
"""Packets that netem holds where no more are on their way."""
_PACKET = 1500
_QUICK = 1_000_000_000
"""Bits a second taken for a link without a rate, when it is reckoned how many are on their way."""
_QUEUE_MAX = 200_000
_BURST = 32_768
_LATENCY_MS = 100


def arguments(shape: Shaped) -> list[str]:
    """The discipline, as tc-qdisc(8) takes it. By tbf alone where that does it: it is the one
    that more kernels have."""
    assert shape
    delay, jitter, loss, rate = shape
    if not delay and not loss:
        burst = max(_BURST, rate // 8 // 100)
        return ["tbf", "rate", f"{rate}bit", "burst", str(burst), "latency", f"{_LATENCY_MS}ms"]
    on_their_way = int((rate or _QUICK) / 8 / _PACKET * (delay + jitter) / 1000 * 1.5)
    words = ["netem", "limit", str(min(_QUEUE_MAX, _QUEUE + on_their_way))]
    if delay:
        words += ["delay", f"{delay * 1000:.0f}us"]
        words += [f"{jitter * 1000:.0f}us"] if jitter else []
    if loss:
        words += ["loss", "random", f"{loss:.4f}%"]
    if rate:
        words += ["rate", f"{rate}bit"]
    return words


def apply(shape: Shaped, interface: str, what: str) -> None:
    """Shape what an interface in the thread's namespace sends. `what`: whose link it is.

    Raises NetjailError("missing-kernel") where the kernel cannot.
    """
    if not shape:
        return
    words = arguments(shape)
    if words[0] == "netem":
        # Else a bundle of up to 44 packets is late, or lost, as if it were one.
        process.run(["ip", "link", "set", "dev", interface, "gso_max_segs", "1"])
    try:
        process.run(["tc", "qdisc", "replace", "dev", interface, "root", *words])
    except NetjailError as error:
        if error.code != "system" or "qdisc kind is unknown" not in error.message:
            raise
        way = "delay or lose packets (sch_netem)" if words[0] == "netem" else "limit a rate (tbf)"
        raise NetjailError(
            "missing-kernel",
            f"this kernel cannot {way}, as the shape of {what} wants",
            "sudo modprobe sch_netem, with the package that has it (linux-modules-extra on some); "
            "else take delay and loss out of [link.shape]",
        ) from None
