"""Each task on a host of its own, as far as the network goes: a namespace with one cable to a
bridge, which stands in a namespace too. Cables are pulled, and a relay spoils what goes through
it."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

import cluster as clusters

SERVER, WORKER = ("ps", 0), ("worker", 1)
CHIEF = ("worker", 0)
PORT = 2222


def ip(*words, check=True):
    return subprocess.run(["ip", *map(str, words)], check=check, capture_output=True, text=True,
                          timeout=clusters.DEADLINE_S)


class Hosts:
    """Task i has the address 10.77.2.i; who calls 10.77.1.i reaches the hub, where a relay may
    listen."""

    def __init__(self, tasks):
        prefix = f"capstan{os.getpid()}"
        self.hub = f"{prefix}hub"
        self.numbers = {task: number for number, task in enumerate(tasks, start=1)}
        self.names = {task: f"{prefix}-{number}" for task, number in self.numbers.items()}
        self.relay = None

    def make(self):
        self.remove_old_ones()
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "set", "lo", "up")
        ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.hub, "link", "set", "bridge", "up")
        for task, number in self.numbers.items():
            name = self.names[task]
            ip("-n", self.hub, "addr", "add", f"10.77.1.{number}/16", "dev", "bridge")
            ip("netns", "add", name)
            ip("-n", self.hub, "link", "add", f"cable{number}", "type", "veth", "peer", "name",
               "eth0", "netns", name)
            ip("-n", self.hub, "link", "set", f"cable{number}", "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"10.77.2.{number}/16", "dev", "eth0")
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

    def addresses(self, role, through_relay=False):
        network = 1 if through_relay else 2
        return [f"10.77.{network}.{number}:{PORT}" for task, number in self.numbers.items()
                if task[0] == role]

    def exec_in(self, task):
        return ["ip", "netns", "exec", self.names[task]]

    def pull(self, task):
        """The task's own end stays up: nobody is told."""
        ip("-n", self.hub, "link", "set", f"cable{self.numbers[task]}", "nomaster")

    def plug(self, task):
        ip("-n", self.hub, "link", "set", f"cable{self.numbers[task]}", "master", "bridge")

    def start_relay(self, seed, log_path):
        pairs = [f"10.77.1.{number}:{PORT}=10.77.2.{number}:{PORT}"
                 for number in self.numbers.values()]
        with open(log_path, "w") as log:
            self.relay = subprocess.Popen(
                ["ip", "netns", "exec", self.hub, sys.executable,
                 pathlib.Path(__file__).with_name("relay.py"), str(seed), *pairs],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=clusters.die_with_parent)
        clusters.until(lambda: "ready" in log_path.read_text() or self.relay.poll() is not None,
                       "the relay")
        assert self.relay.poll() is None, log_path.read_text()


@pytest.fixture
def hosts():
    if os.geteuid() != 0:
        pytest.skip("network namespaces want root")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces want the program ip (iproute2)")
    made = Hosts([SERVER, ("ps", 1), CHIEF, WORKER])
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            failed = f"{' '.join(error.cmd)}: {error.stderr.strip()}"
            pytest.skip(f"no network namespaces here: {failed}")
        yield made
    finally:
        made.remove()


@pytest.fixture
def spread(cluster, hosts, tmp_path):
    """A job whose tasks are on these hosts, each in a working folder of its own."""
    def make(story, through_relay=False, **flags):
        token = tmp_path / "token"
        token.touch(mode=0o600)
        token.write_text("a-secret-of-all-the-hosts\n")
        job = cluster(ps_hosts=hosts.addresses("ps", through_relay),
                      worker_hosts=hosts.addresses("worker", through_relay),
                      common={"auth_token_file": token}, **story.flags | flags)
        job.wrap = hosts.exec_in
        return job
    return make


def test_hosts_of_their_own(story, spread):
    job = spread(story, sync=True).start().wait()
    assert job.digest() == story.digest()


@pytest.mark.parametrize("task, seconds", [(WORKER, 4), (SERVER, 3), (SERVER, 8)])
def test_a_cable_is_pulled(medium_story, spread, hosts, task, seconds):
    """For longer than a silent worker keeps its leases; for less and for more than the chief waits
    for an answer of a server. The job stands still or goes on without, and ends the same."""
    job = spread(medium_story, sync=True, steps_to_validate=10, checkpoint_steps=40).start()
    job.wait_for_log(CHIEF, r"Step: \d+,")
    hosts.pull(task)
    end = time.monotonic() + seconds
    clusters.until(lambda: time.monotonic() > end, "the end of the cut")
    assert not job.has_ended(CHIEF), job.logs()
    hosts.plug(task)
    job.wait(90)
    assert job.digest() == medium_story.digest()
    assert job.counts()[2:] == (0, 0)


@pytest.mark.parametrize("flags", [{"sync": True}, {}])
def test_a_relay_that_spoils_the_network(story, long_story, spread, hosts, tmp_path, flags):
    training, examples = (story, 6000) if flags else (long_story, 40000)
    log = tmp_path / "relay.log"
    hosts.start_relay(1, log)
    job = spread(training, through_relay=True, checkpoint_secs=2, **flags).start().wait(120)
    assert job.counts() == (examples, examples, 0, 0)
    if flags:
        assert job.digest() == story.digest()
    assert "stalled" in log.read_text() or "closed" in log.read_text()
