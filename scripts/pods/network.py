"""Addresses of pods: a network namespace for each, all on one bridge, and one hosts file for their names.

Everything lies in namespaces of this process, and is gone with it.
"""

import os
import subprocess
import sys
import threading

GATEWAY = "10.77.0.1"
INSIDE = "ROWHOUSE_PODS_INSIDE"


def enter():
    """Starts this script anew, as root, in network, mount and process namespaces of its own."""
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        sys.exit("pods: namespaces are made here: run it as root")
    flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *flags, "--", sys.executable, *sys.argv])


def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


class Network:
    """The bridge, its addresses and names."""

    def __init__(self, hosts):
        self.hosts = hosts
        self._lock = threading.Lock()
        self._next = 1
        self._names = {}
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "netns", "/run/netns"], check=True)
        ip("link", "set", "lo", "up")
        ip("link", "add", "pods", "type", "bridge")
        ip("address", "add", f"{GATEWAY}/16", "dev", "pods")
        ip("link", "set", "pods", "up")
        self._write()

    def add(self):
        """A new namespace with an address that nobody had: its name and the address."""
        with self._lock:
            self._next += 1
            number = self._next
        name, address = f"pod{number}", f"10.77.{number // 250}.{number % 250 + 2}"
        ip("netns", "add", name)
        ip("link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", f"v{number}", "master", "pods", "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "address", "add", f"{address}/16", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "route", "add", "default", "via", GATEWAY)
        return name, address

    def remove(self, name):
        ip("netns", "delete", name)

    def name(self, owner, address, names):
        """`names` lead to the address of this owner, until it says something else."""
        with self._lock:
            self._names[owner] = (address, list(names))
            self._write()

    def forget(self, owner):
        with self._lock:
            self._names.pop(owner, None)
            self._write()

    def _write(self):
        lines = ["127.0.0.1 localhost\n", "::1 localhost\n"]
        lines += [f"{address} {' '.join(names)}\n" for address, names in self._names.values() if names]
        # In place: containers have this very file mounted.
        with open(self.hosts, "w", encoding="ascii") as file:
            file.writelines(lines)
