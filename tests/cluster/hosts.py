"""Hosts of a cluster's tasks, as far as the network goes: namespaces, each with one cable to a
bridge, which stands in a namespace too. Cables are pulled, packets refused, and a relay spoils what
goes through it."""

import os
import pathlib
import re
import subprocess
import sys

import cluster as clusters

PORT = 2222
FOLDER = pathlib.Path(__file__).parent


def ip(*words, check=True):
    return subprocess.run(["ip", *map(str, words)], check=check, capture_output=True, text=True,
                          timeout=clusters.DEADLINE_S)


class Hosts:
    """`tasks`: {task: number of its host}. A host has the address 10.77.2.NUMBER, or what `address`
    makes of it; who calls 10.77.1.NUMBER reaches the hub, where a relay of connections may listen;
    10.78.2.NUMBER goes through a relay of packets."""

    def __init__(self, tasks, address="10.77.2.{}"):
        prefix = f"capstan{os.getpid()}"
        self.address = address
        self.hub = f"{prefix}hub"
        self.numbers = dict(tasks)
        self.names = {number: f"{prefix}-{number}" for number in self.numbers.values()}
        self.relay = None

    def make(self):
        self.remove_old_ones()
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "set", "lo", "up")
        ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.hub, "link", "set", "bridge", "up")
        for number, name in self.names.items():
            ip("-n", self.hub, "addr", "add", f"10.77.1.{number}/16", "dev", "bridge")
            ip("netns", "add", name)
            ip("-n", self.hub, "link", "add", f"cable{number}", "type", "veth", "peer", "name",
               "eth0", "netns", name)
            ip("-n", self.hub, "link", "set", f"cable{number}", "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"{self.address.format(number)}/16", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")

    @staticmethod
    def remove_old_ones():
        """Of test runs that were killed."""
        for name in re.findall(r"^capstan\d+\S+", ip("netns", "list").stdout, re.MULTILINE):
            if not pathlib.Path("/proc", re.search(r"\d+", name)[0]).exists():
                ip("netns", "del", name, check=False)

    def remove(self):
        if self.relay is not None:
            self.relay.kill()
            self.relay.wait()
        for name in [*self.names.values(), self.hub]:
            ip("netns", "del", name, check=False)

    def address_of(self, task):
        return self.address.format(self.numbers[task])

    def addresses(self, role, address=None, port=PORT):
        return [f"{(address or self.address).format(number)}:{port}"
                for task, number in self.numbers.items() if task[0] == role]

    def exec_in(self, task):
        return ["ip", "netns", "exec", self.names[self.numbers[task]]]

    def pull(self, task):
        """The task's own end stays up: nobody is told."""
        ip("-n", self.hub, "link", "set", f"cable{self.numbers[task]}", "nomaster")

    def plug(self, task):
        ip("-n", self.hub, "link", "set", f"cable{self.numbers[task]}", "master", "bridge")

    def refuse(self, task, caller, *target):
        """Packets of `caller` to `task` are met with `target`; gives what takes that back."""
        rule = ["INPUT", "-p", "tcp", "-s", self.address_of(caller), "-j", *target]

        def iptables(what):
            subprocess.run([*self.exec_in(task), "iptables", "-w", what, *rule], check=True,
                           capture_output=True, timeout=clusters.DEADLINE_S)
        iptables("-A")
        return lambda: iptables("-D")

    def start_relay(self, seed, log_path):
        """Of connections."""
        pairs = [f"10.77.1.{number}:{PORT}={self.address.format(number)}:{PORT}"
                 for number in self.names]
        self.start_program(log_path, "ip", "netns", "exec", self.hub, sys.executable,
                           FOLDER / "relay.py", seed, *pairs)

    def start_packet_relay(self, seed, log_path):
        names = [f"{name}=10.78.2.{number}" for number, name in self.names.items()]
        self.start_program(log_path, sys.executable, FOLDER / "packet_relay.py", seed, *names)
        for number, name in self.names.items():
            ip("-n", name, "addr", "add", f"10.78.2.{number}/16", "dev", "relay")
            ip("-n", name, "link", "set", "relay", "up")

    def start_program(self, log_path, *words):
        with open(log_path, "w") as log:
            self.relay = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log,
                                          preexec_fn=clusters.die_with_parent)
        clusters.until(lambda: "ready" in log_path.read_text() or self.relay.poll() is not None,
                       "the relay")
        assert self.relay.poll() is None, log_path.read_text()
