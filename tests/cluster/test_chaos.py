"""Tasks of every role are killed, stopped for a while and started again, by a die with a seed: the
end is as if nothing had happened. CAPSTAN_FULL=1 makes it long."""

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
EPOCHS = 50 if FULL else 5  # in sync; without waiting for each other workers are faster
ASYNC_EPOCHS = 2 * EPOCHS
DEADLINE_S = 1800 if FULL else 120


@pytest.fixture(scope="module")
def chaos_story(tmp_path_factory, synth):
    folder = tmp_path_factory.mktemp("chaos")
    return Training(folder, synth("clicks", 10000, first_row=500_000),
                 model_file=write_model(folder), train_files=synth("clicks", EXAMPLES, files=3),
                 train_batch_size=200, epoch_number=EPOCHS, shuffle_block=1000, seed=5)


class Chaos:
    """Hits a job until it is done; starts again what has ended in another way than it should."""

    def __init__(self, job, seed):
        self.job = job
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
        if self.random.random() < 0.6:
            self.faults.append(("killed", task))
            self.job.kill(task)
            self.pause(0, 0.5)
            self.job.start(task)
        else:
            self.faults.append(("stopped", task))
            process.send_signal(signal.SIGSTOP)
            self.pause(0.2, 3)
            process.send_signal(signal.SIGCONT)

    def run(self):
        while len(self.faults) < FAULTS and self.pause(0.1, 1):
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


@pytest.mark.parametrize("seed", [1])
def test_sync(chaos_story, cluster, seed):
    job = cluster(sync=True, checkpoint_secs=0.5, **chaos_story.flags).start()
    chaos = Chaos(job, seed)
    chaos.run()
    assert job.digest() == chaos_story.digest(), f"{chaos.faults}\n{job.logs()}"
    assert job.counts() == (EXAMPLES * EPOCHS, EXAMPLES * EPOCHS, 0, 0)


@pytest.mark.parametrize("seed", [2])
def test_async(chaos_story, cluster, seed):
    examples = EXAMPLES * ASYNC_EPOCHS
    job = cluster(checkpoint_secs=0.5,
                  **chaos_story.flags | {"epoch_number": ASYNC_EPOCHS}).start()
    chaos = Chaos(job, seed)
    chaos.run()
    assert job.counts() == (examples, examples, 0, 0), chaos.faults
    assert abs(chaos_story.auc(job.checkpoints) - chaos_story.auc_of_one_machine()) < 0.01
