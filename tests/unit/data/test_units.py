# SPDX-License-Identifier: GPL-3.0-or-later
"""What is handed to polkit, D-Bus, systemd and systemd-tmpfiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

import netjail
from netjail import names

DATA = Path(netjail.__file__).parents[1] / "data"
POLICY = DATA / "polkit" / "org.netjail.policy"
BUS = DATA / "dbus" / "org.netjail.Netjail1.conf"
ACTIVATION = DATA / "dbus" / "org.netjail.Netjail1.service"
UNIT = DATA / "systemd" / "netjaild.service"
POLICY_DTD = Path("/usr/share/polkit-1/policyconfig-1.dtd")

MOUNTS = "it makes a mount namespace: jails made in it are invisible to the rest of the system"
INHERITED = "each program that a user starts in a jail inherits it"
REMOVES = "systemd removes the directory when the helper stops, and with it what jails need"
CGROUP = "it binds wireguard-go and the helper's other processes, which need devices and sockets"

FORBIDDEN = {
    MOUNTS: """
        PrivateTmp PrivateDevices PrivateMounts PrivateNetwork PrivateIPC PrivateUsers PrivatePIDs
        PrivateBPF NetworkNamespacePath IPCNamespacePath UserNamespacePath MountNamespacePath
        ProtectSystem ProtectHome ProtectKernelTunables ProtectKernelModules ProtectKernelLogs
        ProtectControlGroups ProtectProc ProcSubset ProtectHostname ReadOnlyPaths ReadWritePaths
        InaccessiblePaths ExecPaths NoExecPaths ReadOnlyDirectories ReadWriteDirectories
        InaccessibleDirectories TemporaryFileSystem BindPaths BindReadOnlyPaths RootDirectory
        RootImage RootHash RootVerity RootEphemeral MountImages ExtensionImages
        ExtensionDirectories MountAPIVFS MountFlags LogNamespace DynamicUser LoadCredential
        LoadCredentialEncrypted SetCredential SetCredentialEncrypted ImportCredential
    """,
    INHERITED: """
        NoNewPrivileges CapabilityBoundingSet AmbientCapabilities SecureBits SystemCallFilter
        SystemCallArchitectures SystemCallErrorNumber SystemCallLog RestrictAddressFamilies
        RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality Personality
        MemoryDenyWriteExecute ProtectClock SELinuxContext AppArmorProfile SmackProcessLabel Nice
        IOSchedulingClass IOSchedulingPriority CPUSchedulingPolicy CPUSchedulingPriority
        CPUSchedulingResetOnFork CPUAffinity NUMAPolicy NUMAMask OOMScoreAdjust UMask
        TimerSlackNSec CoredumpFilter MemoryKSM Environment EnvironmentFile PassEnvironment
        LimitCPU LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitNOFILE LimitAS LimitNPROC
        LimitMEMLOCK LimitLOCKS LimitSIGPENDING LimitMSGQUEUE LimitNICE LimitRTPRIO LimitRTTIME
        User Group SupplementaryGroups PAMName
    """,
    REMOVES: "RuntimeDirectory StateDirectory CacheDirectory LogsDirectory ConfigurationDirectory",
    CGROUP: """
        DeviceAllow DevicePolicy IPAddressAllow IPAddressDeny RestrictFileSystems
        RestrictNetworkInterfaces SocketBindAllow SocketBindDeny IPIngressFilterPath
        IPEgressFilterPath BPFProgram MemoryMax MemoryHigh CPUQuota TasksMax
    """,
}
WHY = {option: why for why, options in FORBIDDEN.items() for option in options.split()}

KNOWN = {
    "Type",
    "BusName",
    "ExecStart",
    "ExecStopPost",
    "Restart",
    "KillMode",
    "TimeoutStopSec",
}
"""What the unit may set. Whoever adds an option says here that it was looked up in
systemd.exec(5) that it neither makes a namespace nor is inherited."""


def settings(path: Path) -> list[tuple[str, str, str]]:
    """(section, option, value) of a unit or desktop-like file. No continuation lines."""
    found, section = [], ""
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        option, equals, value = line.partition("=")
        assert equals, line
        found.append((section, option.strip(), value.strip()))
    return found


def test_policy_is_the_table() -> None:
    tree = ElementTree.parse(POLICY)
    found = {
        action.attrib["id"]: tuple(
            action.findtext(f"defaults/allow_{who}") for who in ("any", "inactive", "active")
        )
        for action in tree.iter("action")
    }
    assert found == names.ACTIONS
    assert tree.findtext("vendor") == "netjail"
    assert tree.findtext("icon_name") == "org.netjail.Netjail"


def test_policy_speaks() -> None:
    for action in ElementTree.parse(POLICY).iter("action"):
        message, description = action.find("message"), action.find("description")
        assert message is not None and description is not None
        text = message.text or ""
        assert set(re.findall(r"\$\((.*?)\)", text)) == set(names.ACTION_DETAILS)
        assert text.startswith("Authentication is required to ") and not text.endswith(".")
        assert "$" not in (description.text or "$")
        for element in (message, description):
            assert element.attrib == {"gettext-domain": "netjail"}


def test_nothing_is_kept_where_the_profile_decides() -> None:
    """polkit remembers `_keep` for the action, whatever the profile (FACTS)."""
    for action, defaults in names.ACTIONS.items():
        if "yes" in defaults or action == names.ACTION_REVEAL:
            assert not any(default.endswith("_keep") for default in defaults)


@pytest.mark.skipif(
    not (shutil.which("xmllint") and POLICY_DTD.exists()), reason="needs xmllint and polkit's DTD"
)
def test_policy_is_valid() -> None:
    subprocess.run(
        ["xmllint", "--nonet", "--noout", "--dtdvalid", POLICY_DTD, POLICY],
        check=True,
    )


def test_bus_lets_through_what_is_answered() -> None:
    tree = ElementTree.parse(BUS).getroot()
    root, everybody = tree.findall("policy")
    assert root.attrib == {"user": "root"}
    introspect = "org.freedesktop.DBus.Introspectable"
    all_names = {"send_destination": names.BUS_NAME, "send_interface": introspect}
    assert [rule.attrib for rule in root] == [{"own": names.BUS_NAME}, all_names]
    assert everybody.attrib == {"context": "default"}
    standard = ("Introspectable", "ObjectManager", "Peer", "Properties")
    wanted = {names.BUS_MANAGER, names.BUS_PROFILE}
    wanted |= {f"org.freedesktop.DBus.{name}" for name in standard}
    *allowed, denied = everybody
    assert denied.tag == "deny"
    assert denied.attrib == all_names | {"send_path": f"{names.BUS_PATH}/profile"}
    for rule in allowed:
        assert rule.tag == "allow"
        assert set(rule.attrib) == {"send_destination", "send_interface"}
        assert rule.attrib["send_destination"] == names.BUS_NAME
    assert {rule.attrib["send_interface"] for rule in allowed} == wanted


def test_activation() -> None:
    values = {option: value for _, option, value in settings(ACTIVATION)}
    assert values == {
        "Name": names.BUS_NAME,
        "Exec": "/usr/sbin/netjaild",
        "User": "root",
        "SystemdService": UNIT.name,
    }
    assert ACTIVATION.stem == names.BUS_NAME  # dbus-broker insists


def test_unit_says_what_it_must() -> None:
    values = {option: value for section, option, value in settings(UNIT) if section == "Service"}
    assert values["Type"] == "dbus"
    assert values["BusName"] == names.BUS_NAME
    assert values["KillMode"] == "process"
    assert values["ExecStart"] == "/usr/sbin/netjaild"
    assert values["ExecStopPost"] == "-/usr/sbin/netjaild --cleanup"


def test_unit_has_nothing_that_is_forbidden() -> None:
    for section, option, _ in settings(UNIT):
        if section == "Service":
            assert option not in WHY, f"{option}: {WHY[option]}"
            assert option in KNOWN, f"{option}: does it make a namespace, is it inherited?"
    assert not KNOWN & set(WHY)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """In a copy whose programs exist; warnings of other units are not ours."""
    text = UNIT.read_text(encoding="utf-8").replace("/usr/sbin/netjaild", "/bin/true")
    copy = tmp_path / UNIT.name
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if UNIT.name in line] == []


def test_tmpfiles() -> None:
    lines = (DATA / "tmpfiles" / "netjail.conf").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert rules == [["d", names.RUN_DIR, "0755", "root", "root", "-"]]
