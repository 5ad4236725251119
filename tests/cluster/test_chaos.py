"""Tasks of every role are killed and started again, stopped for a while, cut off from the network
for a while, by a die with a seed: the end is as if nothing had happened. CAPSTAN_FULL=1 makes it
long."""

import os
import random
import signal
import time

import pytest

from cluster import until, write_model
from training import Training

FULL = bool(os.environ.get("CAPSTAN_FULL"))
FAULTS = 200 if FULL else 20
LEAST_FAULTS = FAULTS // 2  # a job may have no data left before all of them
EXAMPLES = 100_000
EPOCHS = 80 if FULL else 8  # in sync; without waiting for each other workers are faster
ASYNC_EPOCHS = 100 if FULL else 10
DEADLINE_S = 1800 if FULL else 120


def make_story(folder, synth, epochs, **model):
    return Training(folder, synth("clicks", 30000, first_row=500_000),
                    model_file=write_model(folder, **model), shuffle_block=1000, seed=5,
                    train_files=synth("clicks", EXAMPLES, files=3), train_batch_size=200,
                    epoch_number=epochs)


@pytest.fixture(scope="module")
def sync_story(tmp_path_factory, synth):
    return make_story(tmp_path_factory.mktemp("sync"), synth, EPOCHS)


@pytest.fixture(scope="module")
def async_story(tmp_path_factory, synth):
    """Of a model that makes little of the order of its examples: undisturbed runs differ from that
    of one machine by 0.0001 at most."""
    return make_story(tmp_path_factory.mktemp("async"), synth, ASYNC_EPOCHS, optimizer="adagrad",
                      deep={"hidden": [16, 8]}, embedding={"dim": 4})


class Chaos:
    """Hits a job until it is done; starts again what has ended in another way than it should."""

    def __init__(self, job, hosts, seed):
        self.job = job
        self.hosts = hosts
        self.random = random.Random(seed)
        self.faults = []

    def is_done(self):
        return self.job.processes[self.job.chief].poll() == 0

    def pause(self, least_s, most_s):
        """False: the job is done."""
        end = time.monotonic() + self.random.uniform(least_s, most_s)
        until(lambda: time.monotonic() > end or self.is_done(), "the end of a pause")
        return not self.is_done()

    def hit(self):
        task = self.random.choice(self.job.tasks)
        process = self.job.processes[task]
        if process.poll() is not None:
            self.job.start(task)
            return
        die = self.random.random()
        if die < 0.5:
            self.faults.append(("killed", task))
            self.job.kill(task)
            self.pause(0, 0.5)
            self.job.start(task)
        elif die < 0.75:
            self.faults.append(("stopped", task))
            process.send_signal(signal.SIGSTOP)
            self.pause(0.2, 2.5)
            process.send_signal(signal.SIGCONT)
        else:
            self.faults.append(("cut off", task))
            self.hosts.pull(task)
            self.pause(0.2, 2.5)
            self.hosts.plug(task)

    def run(self):
        while len(self.faults) < FAULTS and self.pause(0.1, 0.6):
            self.hit()
        ended_early = self.is_done()
        deadline = time.monotonic() + DEADLINE_S
        while not self.is_over(ended_early):
            assert time.monotonic() < deadline, f"{self.faults}\n{self.job.logs()}"
            for task, process in self.job.processes.items():
                if process.poll() not in (None, 0) and not self.is_done():
                    self.job.start(task)
            self.pause(0.1, 0.2)
        assert len(self.faults) >= LEAST_FAULTS, self.faults

    def is_over(self, ended_early):
        """Who was hit while the job ended may not hear of it."""
        ends = [process.poll() for process in self.job.processes.values()]
        return self.is_done() and (ended_early or all(end == 0 for end in ends))


    def check_variety(self):
        """Every role and every kind was there, unless the job was done too soon for that."""
        if len(self.faults) < FAULTS:
            return
        kinds, tasks = zip(*self.faults)
        assert set(kinds) == {"killed", "stopped", "cut off"}, self.faults
        assert set(tasks) == set(self.job.tasks), self.faults


@pytest.mark.parametrize("seed", [1])
def test_sync(sync_story, spread, hosts, seed):
    job = spread(sync_story, sync=True, checkpoint_secs=0.5).start()
    chaos = Chaos(job, hosts, seed)
    chaos.run()
    chaos.check_variety()
    assert job.digest() == sync_story.digest(), f"{chaos.faults}\n{job.logs()}"
    assert job.counts() == (EXAMPLES * EPOCHS, EXAMPLES * EPOCHS, 0, 0)


@pytest.mark.parametrize("seed", [2])
def test_async(async_story, spread, hosts, seed):
    examples = EXAMPLES * ASYNC_EPOCHS
    job = spread(async_story, checkpoint_secs=0.5).start()
    chaos = Chaos(job, hosts, seed)
    chaos.run()
    chaos.check_variety()
    assert job.counts() == (examples, examples, 0, 0), chaos.faults
    assert abs(async_story.auc(job.checkpoints) - async_story.auc_of_one_machine()) < 0.002
