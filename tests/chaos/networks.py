"""Several machines on one: hosts in network namespaces of their own, on a bridge to the one where everything else runs.

Each host finds the services of this one on its own loopback, so the same settings hold everywhere. All of it goes with
the processes that are in it.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.sandbox.processes import start
from tests.chaos.system import Process
from tests.waiting import eventually

CLONE_NEWNET = 0x40000000
PROGRAMS = {
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
BRIDGE, HERE = "br0", "10.77.0.1"  # of a network that nobody else is in
TO_LOOPBACK = "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet"


def find_hindrance() -> str:
    """Why no such networks can be made here; empty where they can."""
    if os.geteuid() != 0:
        return "root's rights are missing: network namespaces need them"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return f"{missing[0]} is missing: apt-get install {missing[0]}" if missing else ""


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def _network_of(pid: int | str) -> Path:
    return Path(f"/proc/{pid}/ns/net")


@contextmanager
def own_network() -> Iterator[None]:
    """Move this thread, and all that it starts, into a network of its own with a bridge for hosts. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    with _network_of("thread-self").open() as outside:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace could be made")
        try:
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "add", BRIDGE, "type", "bridge")
            _run("ip", "address", "add", f"{HERE}/24", "dev", BRIDGE)
            _run("ip", "link", "set", BRIDGE, "up")
            _run("sh", "-c", TO_LOOPBACK)
            rule = f"-t nat -A PREROUTING -i {BRIDGE} -d {HERE} -p tcp -j DNAT --to-destination 127.0.0.1"
            _run("iptables", *rule.split())
            yield
        finally:
            libc.setns(outside.fileno(), CLONE_NEWNET)


@dataclass(frozen=True)
class Host:
    """A machine on the bridge; gone with the process that keeps its network."""

    name: str
    keeper: Process

    @classmethod
    def add(cls, number: int) -> "Host":
        """Raises CalledProcessError where the kernel refuses."""
        keeper = start(["unshare", "--net", "sleep", "infinity"])
        host = cls(f"host{number}", keeper)
        ours = _network_of("self").readlink()
        eventually(lambda: _network_of(keeper.pid).readlink() != ours, 5, "the host's network")
        wire = f"ip link add {host.name} type veth peer name eth0 netns {keeper.pid}"
        _run(*wire.split())
        _run("ip", "link", "set", host.name, "master", BRIDGE, "up")
        host.run("ip", "link", "set", "lo", "up")
        host.run("ip", "address", "add", f"10.77.0.{10 + number}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("sh", "-c", TO_LOOPBACK)
        host.run(
            *f"iptables -t nat -A OUTPUT -p tcp -d 127.0.0.1 -j DNAT --to-destination {HERE}".split()
        )
        host.run(*["iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE"])
        return host

    def _inside(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net={_network_of(self.keeper.pid)}", *argv]

    def run(self, *argv: str) -> None:
        _run(*self._inside(*argv))

    def start(self, argv: list[str], environment: Mapping[str, str], log: Path) -> Process:
        """A process on this host."""
        with log.open("ab") as output:
            return start(self._inside(*argv), env=environment, stdout=output)

    def pull_plug(self) -> None:
        _run("ip", "link", "set", self.name, "down")

    def put_plug(self) -> None:
        _run("ip", "link", "set", self.name, "up")

    def drop_packets(self) -> None:
        """As a broken firewall: nobody is told."""
        for chain, side in (("INPUT", "-i"), ("OUTPUT", "-o")):
            self.run("iptables", "-A", chain, side, "eth0", "-j", "DROP")

    def pass_packets(self) -> None:
        for chain in ("INPUT", "OUTPUT"):
            self.run("iptables", "-F", chain)


CUTS = {
    "plug": (Host.pull_plug, Host.put_plug),
    "dropped packets": (Host.drop_packets, Host.pass_packets),
}
