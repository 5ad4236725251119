"""Each task on a host of its own: a network namespace. What a network does to a job."""

import os
import time

import pytest

import cluster as clusters

SERVER, OTHER_SERVER = ("ps", 0), ("ps", 1)
CHIEF, WORKER = ("worker", 0), ("worker", 1)


def pause(seconds):
    end = time.monotonic() + seconds
    clusters.until(lambda: time.monotonic() > end, "the end of a pause")


def test_hosts_of_their_own(story, spread):
    """With working folders of their own, too."""
    job = spread(story, sync=True).start().wait()
    assert job.digest() == story.digest()
    assert len({job.folder_of(task) for task in job.tasks}) == 4


# Two hosts, a server and a worker on each ---------------------------------------------------------

ARTICLE = "4.0.84.{}"


@pytest.fixture
def two_hosts(cluster, make_hosts, tmp_path):
    """The article's: ps at port 2222 and worker at 2223 of 4.0.84.3, and of 4.0.84.4 too."""
    def make(story, workers, **flags):
        tasks = {SERVER: 3, OTHER_SERVER: 4} | dict(list({CHIEF: 3, WORKER: 4}.items())[:workers])
        hosts = make_hosts(tasks, ARTICLE)
        job = cluster(ps_hosts=hosts.addresses("ps"),
                      worker_hosts=hosts.addresses("worker", port=2223), workers=workers,
                      common={"insecure": True}, **story.flags | flags)
        job.wrap = hosts.exec_in
        return job
    return make


def test_a_server_and_a_worker_on_each_of_two_hosts(story, two_hosts):
    job = two_hosts(story, workers=2, sync=True).start().wait()
    assert job.digest() == story.digest()


@pytest.mark.parametrize("liar", [SERVER, OTHER_SERVER])
def test_the_typo_of_the_article(story, two_hosts, liar):
    """One task was told another worker than all others. Then it dumped core."""
    job = two_hosts(story, workers=1)
    job.start(*[task for task in job.tasks if task != liar])
    job.start(liar, worker_hosts="4.0.84.4:2223")
    assert job.exit_code(CHIEF) == 1, job.logs()
    for text in ["4.0.84.4:2223", "4.0.84.3:2223", "{} {}".format(*liar)]:
        assert text in job.log(CHIEF), job.logs()


# A network that fails -----------------------------------------------------------------------------


@pytest.mark.parametrize("task, seconds", [(WORKER, 4), (SERVER, 3), (SERVER, 8)])
def test_a_cable_is_pulled(medium_story, spread, hosts, task, seconds):
    """For longer than a silent worker keeps its leases; for less and for more than the chief waits
    for an answer of a server. The job stands still or goes on without, and ends the same."""
    job = spread(medium_story, sync=True, steps_to_validate=10, checkpoint_steps=40).start()
    job.wait_for_log(CHIEF, r"Step: \d+,")
    hosts.pull(task)
    pause(seconds)
    assert not job.has_ended(CHIEF), job.logs()
    hosts.plug(task)
    job.wait(90)
    assert job.digest() == medium_story.digest()
    assert job.counts()[2:] == (0, 0)


@pytest.mark.parametrize("target", [["DROP"], ["REJECT", "--reject-with", "tcp-reset"]])
def test_one_worker_does_not_reach_one_server(medium_story, spread, hosts, target):
    """Both talk to the chief all the time."""
    job = spread(medium_story, sync=True, steps_to_validate=10).start()
    job.wait_for_log(CHIEF, r"Step: \d+,")
    take_back = hosts.refuse(SERVER, WORKER, *target)
    pause(3)
    assert not job.has_ended(CHIEF), job.logs()
    take_back()
    job.wait(90)
    assert job.digest() == medium_story.digest()
    assert job.counts()[2:] == (0, 0)


@pytest.mark.parametrize("flags", [{"sync": True}, {}])
def test_a_relay_that_breaks_connections(story, long_story, spread, hosts, tmp_path, flags):
    training, examples = (story, 6000) if flags else (long_story, 40000)
    log = tmp_path / "relay.log"
    hosts.start_relay(1, log)
    job = spread(training, address="10.77.1.{}", checkpoint_secs=2, **flags).start().wait(120)
    assert job.counts() == (examples, examples, 0, 0)
    if flags:
        assert job.digest() == story.digest()
    assert "stalled" in log.read_text() or "closed" in log.read_text()


@pytest.mark.parametrize("flags", [{"sync": True}, {}])
def test_packets_are_lost_doubled_and_late(story, spread, hosts, tmp_path, flags):
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"this kernel has no TUN devices: {error}")
    log = tmp_path / "relay.log"
    hosts.start_packet_relay(1, log)
    job = spread(story, address="10.78.2.{}", checkpoint_secs=2, **flags).start().wait(120)
    assert job.counts() == (6000, 6000, 0, 0)
    if flags:
        assert job.digest() == story.digest()
    assert {"lost", "twice", "late"} <= set(log.read_text().split())
